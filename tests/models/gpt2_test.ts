import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { loadWeights } from "../../lib/train/load_weights.ts";
import { checkpoint } from "../checkpoint.ts";
import { gpt2Config } from "../small_models.ts";

const build = (changes: Record<string, unknown> = {}) =>
  buildModel({ ...gpt2Config, ...changes }, { classes: 3, head: false });

Deno.test("GPT-2's parameters have Hugging Face's names, its Conv1D weights lie [in, out]", () => {
  const { parameters } = build().scope;
  const layer = (i: number) =>
    ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"].flatMap((name) => [
      `transformer.h.${i}.${name}.weight`,
      `transformer.h.${i}.${name}.bias`,
    ]);
  assertEquals(
    [...parameters.keys()].sort(),
    [
      "transformer.wte.weight",
      "transformer.wpe.weight",
      ...layer(0),
      ...layer(1),
      "transformer.ln_f.weight",
      "transformer.ln_f.bias",
      "score.weight",
    ].sort(),
  );
  const shape = (name: string) => parameters.get(`transformer.h.1.${name}.weight`)!.shape;
  assertEquals(shape("attn.c_attn"), [12, 36]);
  assertEquals(shape("mlp.c_fc"), [12, 44]);
  assertEquals(shape("mlp.c_proj"), [44, 12]);
});

Deno.test("GPT-2's inner width is four widths where n_inner is null", () => {
  const { parameters } = build({ n_inner: null }).scope;
  assertEquals(parameters.get("transformer.h.0.mlp.c_fc.weight")!.shape, [12, 48]);
});

Deno.test("GPT-2 loads from checkpoints without prefix, with masks and a language head", async () => {
  const masks = Object.fromEntries(
    [0, 1].flatMap((i) => [
      [`h.${i}.attn.bias`, [1, 1, 23, 23]],
      [`h.${i}.attn.masked_bias`, []],
    ]),
  );
  const source = checkpoint(build(), {
    drop: ["score.weight"],
    add: { ...masks, "lm_head.weight": [121, 12] },
    rename: (name) => name.replace(/^transformer\./, ""),
  });
  const values = await loadWeights(build(), source);
  assertEquals(
    [...values.keys()].sort(),
    [...build().scope.parameters.keys()].filter((name) => name !== "score.weight").sort(),
  );
  await assertRejects(
    () => loadWeights(build(), checkpoint(build(), { add: { "h.2.attn.bias": [1, 1, 23, 23] } })),
    TypeError,
    "h.2.attn.bias is left over",
  );
});

Deno.test("GPT-2 refuses what it does not compute", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ n_head: 5 }, "n_head 5 does not divide n_embd 12"],
    [{ activation_function: "maxout" }, 'Cannot find activation "maxout"'],
    [{ scale_attn_weights: false }, "scale_attn_weights false is not supported, only true"],
    [
      { scale_attn_by_inverse_layer_idx: true },
      "scale_attn_by_inverse_layer_idx true is not supported, only false",
    ],
    [{ add_cross_attention: true }, "add_cross_attention true is not supported, only false"],
  ];
  for (const [changes, message] of bad) assertThrows(() => build(changes), Error, message);
});

Deno.test("what GPT-2 adds to its residual stream starts smaller the deeper it is", () => {
  const deviation = (layers: number, name: string) => {
    const parameter = build({ n_layer: layers }).scope.parameters.get(`transformer.h.0.${name}`)!;
    assert(parameter.initializer.kind === "normal");
    return parameter.initializer.deviation;
  };
  assertEquals(deviation(2, "attn.c_attn.weight"), 0.2);
  assertEquals(deviation(2, "attn.c_proj.weight"), 0.1);
  assertEquals(deviation(8, "mlp.c_proj.weight"), 0.05);
});
