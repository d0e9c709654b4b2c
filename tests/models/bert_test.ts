import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { Session } from "../../lib/gpu/session.ts";
import { input } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { loadWeights } from "../../lib/train/load_weights.ts";
import { gpuTest } from "../check_op.ts";
import { checkpoint } from "../checkpoint.ts";
import { bertConfig, smallBatch } from "../small_models.ts";

const build = (changes: Record<string, unknown> = {}) =>
  buildModel({ ...bertConfig, ...changes }, { classes: 3, head: false });

Deno.test("BERT's parameters have Hugging Face's names", () => {
  const layer = (i: number) =>
    [
      "attention.self.query",
      "attention.self.key",
      "attention.self.value",
      "attention.output.dense",
      "attention.output.LayerNorm",
      "intermediate.dense",
      "output.dense",
      "output.LayerNorm",
    ].map((name) => `bert.encoder.layer.${i}.${name}`);
  const weights = [
    "bert.embeddings.word_embeddings",
    "bert.embeddings.position_embeddings",
    "bert.embeddings.token_type_embeddings",
    "bert.embeddings.LayerNorm",
    ...layer(0),
    ...layer(1),
    "bert.pooler.dense",
    "classifier",
  ];
  const tables = /(word|position|token_type)_embeddings$/;
  assertEquals(
    [...build().scope.parameters.keys()].sort(),
    weights.flatMap((name) =>
      tables.test(name) ? [`${name}.weight`] : [`${name}.weight`, `${name}.bias`]
    ).sort(),
  );
});

Deno.test("BERT loads from checkpoints without a head, without a prefix, and of the first releases", async () => {
  const names = [...build().scope.parameters.keys()];
  const bare = names.filter((name) => !name.startsWith("classifier."));
  const early = (name: string) =>
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
  const releases: Record<string, (name: string) => string> = {
    "a plain BertModel": (name) => name.replace(/^bert\./, ""),
    "BertForPreTraining of the first releases": early,
  };
  for (const [release, rename] of Object.entries(releases)) {
    const values = await loadWeights(
      build(),
      checkpoint(build(), {
        drop: ["classifier.weight", "classifier.bias"],
        add: {
          "cls.predictions.bias": [121],
          "cls.seq_relationship.weight": [2, 12],
          "bert.embeddings.position_ids": [1, 23],
        },
        rename,
      }),
    );
    assertEquals([...values.keys()].sort(), bare.toSorted(), release);
  }
});

Deno.test("a BERT checkpoint that has a parameter under two names is refused", async () => {
  const twice = checkpoint(build(), { add: { "pooler.dense.bias": [12] } });
  await assertRejects(
    () => loadWeights(build(), twice),
    TypeError,
    "bert.pooler.dense.bias and pooler.dense.bias are the same parameter",
  );
});

Deno.test("BERT refuses what it does not compute", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ num_attention_heads: 5 }, "num_attention_heads 5 does not divide hidden_size 12"],
    [{ hidden_act: "maxout" }, 'Cannot find activation "maxout"; use one of relu, gelu'],
    [{ position_embedding_type: "relative_key" }, 'position_embedding_type "relative_key"'],
    [{ is_decoder: true }, "is_decoder true is not supported, only false"],
    [{ classifier_dropout: 1 }, "classifier_dropout must be a number of at least 0 and below 1"],
    [{ layer_norm_eps: 0 }, "layer_norm_eps must be a number above 0"],
  ];
  for (const [changes, message] of bad) assertThrows(() => build(changes), Error, message);
});

gpuTest("BERT's tokens are of type 0 where none is given, also behind a prompt", async (gpu) => {
  const [B, T] = [symbol("B"), symbol("T")];
  for (const name of ["zero_shot", "soft_prompt"]) {
    const model = build();
    const attached = attachMethod(model, methods[name], methods[name].parse({}));
    const ids = input("ids", [B, T], "u32");
    const mask = input("mask", [B, T], "f32");
    const tokenTypes = input("token_types", [B, T], "u32");
    const logits = [
      model.classify!({ ids, mask }, {}),
      model.classify!({ ids, mask, tokenTypes }, {}),
    ];
    const session = new Session(gpu);
    try {
      const { sizes, values } = smallBatch(model);
      const program = session.program(logits, sizes, logits);
      await session.build();
      const base = randomWeights(model.scope.select(), 7);
      for (const [parameter, data] of base) session.upload(parameter, data);
      for (const parameter of attached.delta.select()) {
        session.upload(parameter.name, initialValues(parameter, 7, base));
      }
      const run = async (types: Uint32Array<ArrayBuffer>) => {
        session.write(program, { ...values, token_types: types });
        session.run([program]);
        return await session.read(program, logits);
      };
      const [absent, zeros] = await run(new Uint32Array(21));
      assertEquals(absent, zeros, name);
      const [same, ones] = await run(new Uint32Array(21).fill(1));
      assertEquals(same, absent, name);
      assertNotEquals(ones, zeros, name);
    } finally {
      session.destroy();
    }
  }
});
