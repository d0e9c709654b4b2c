import { assertEquals, assertRejects } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { loadWeights } from "../../lib/train/load_weights.ts";
import { checkpoint } from "../checkpoint.ts";
import { llamaConfig, t5Config, t5GatedConfig } from "../small_models.ts";

const llama = () => buildModel(llamaConfig, { classes: 3, head: false });

Deno.test("a checkpoint that fits gives every parameter its values", async () => {
  const values = await loadWeights(llama(), checkpoint(llama()));
  assertEquals([...values.keys()], [...llama().scope.parameters.keys()]);
  assertEquals(values.get("model.norm.weight"), new Float32Array(24).fill(2));
});

Deno.test("missing, left-over and misshapen tensors are all named", async () => {
  const source = checkpoint(llama(), {
    drop: ["model.norm.weight"],
    add: {
      "model.embed_tokens.weight": [24, 121],
      "model.layers.2.input_layernorm.weight": [24],
    },
  });
  await assertRejects(
    () => loadWeights(llama(), source),
    TypeError,
    "Cannot load weights: they do not fit config.json: model.embed_tokens.weight is [24,121], " +
      "not [121,24]; model.norm.weight is missing; " +
      "model.layers.2.input_layernorm.weight is left over",
  );
});

Deno.test("many problems are counted, not all listed", async () => {
  await assertRejects(
    () => loadWeights(llama(), checkpoint(buildModel(t5Config, { classes: 3, head: false }))),
    TypeError,
    "more",
  );
});

Deno.test("a head may be missing, but not misshapen", async () => {
  const values = await loadWeights(llama(), checkpoint(llama(), { drop: ["score.weight"] }));
  assertEquals(values.has("score.weight"), false);
  await assertRejects(
    () => loadWeights(llama(), checkpoint(llama(), { add: { "score.weight": [2, 24] } })),
    TypeError,
    "score.weight is [2,24], not [3,24]",
  );
});

Deno.test("copies of tied matrices and parts that are not used may be left over", async () => {
  const extra = checkpoint(llama(), { add: { "lm_head.weight": [121, 24] } });
  assertEquals((await loadWeights(llama(), extra)).has("lm_head.weight"), false);
  const full = buildModel(t5Config, { classes: 2, head: false });
  const encoder = buildModel(t5Config, { classes: 2, head: true });
  const values = await loadWeights(encoder, checkpoint(full));
  assertEquals([...values.keys()].filter((name) => name.startsWith("decoder.")), []);
  const copies = checkpoint(full, {
    add: {
      "encoder.embed_tokens.weight": [121, 20],
      "decoder.embed_tokens.weight": [121, 20],
      "lm_head.weight": [121, 20],
    },
  });
  assertEquals((await loadWeights(full, copies)).size, full.scope.parameters.size);
});

Deno.test("an output matrix must be what tie_word_embeddings says", async () => {
  const tied = buildModel(t5Config, { classes: 2, head: false });
  const other = checkpoint(tied, {
    add: { "lm_head.weight": [121, 20] },
    value: (name) => name === "lm_head.weight" ? 3 : 2,
  });
  await assertRejects(
    () => loadWeights(tied, other),
    TypeError,
    "lm_head.weight differs from shared.weight, although tie_word_embeddings is true (or left out)",
  );
  const untied = buildModel(t5GatedConfig, { classes: 2, head: false });
  await assertRejects(
    () => loadWeights(untied, checkpoint(untied, { drop: ["lm_head.weight"] })),
    TypeError,
    "lm_head.weight is missing, although tie_word_embeddings is false; set it to true if shared.weight serves both ends",
  );
  // A classifier on the encoder has no output matrix.
  const head = buildModel(t5Config, { classes: 2, head: true });
  const values = await loadWeights(head, other);
  assertEquals(values.has("lm_head.weight"), false);
});
