import { assertEquals, assertRejects } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { loadWeights, type TensorSource } from "../../lib/train/load_weights.ts";
import { llamaConfig, t5Config } from "../small_models.ts";

const llama = () => buildModel(llamaConfig, { classes: 3, head: false });

/** A checkpoint of exactly a model's tensors, changed: null leaves one out. */
function checkpoint(
  model: ReturnType<typeof llama>,
  changes: Record<string, readonly number[] | null> = {},
): TensorSource {
  const shapes = new Map<string, readonly number[]>(
    model.scope.select().map(({ name, shape }) => [name, shape]),
  );
  for (const [name, shape] of Object.entries(changes)) {
    if (shape === null) shapes.delete(name);
    else shapes.set(name, shape);
  }
  return {
    names: () => [...shapes.keys()],
    has: (name) => shapes.has(name),
    info: (name) => ({ shape: shapes.get(name)! }),
    read: (name) =>
      Promise.resolve(new Float32Array(shapes.get(name)!.reduce((a, b) => a * b, 1)).fill(2)),
  };
}

Deno.test("a checkpoint that fits gives every parameter its values", async () => {
  const values = await loadWeights(llama(), checkpoint(llama()));
  assertEquals([...values.keys()], [...llama().scope.parameters.keys()]);
  assertEquals(values.get("model.norm.weight"), new Float32Array(24).fill(2));
});

Deno.test("missing, left-over and misshapen tensors are all named", async () => {
  const source = checkpoint(llama(), {
    "model.norm.weight": null,
    "model.embed_tokens.weight": [24, 121],
    "model.layers.2.input_layernorm.weight": [24],
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
  const values = await loadWeights(llama(), checkpoint(llama(), { "score.weight": null }));
  assertEquals(values.has("score.weight"), false);
  await assertRejects(
    () => loadWeights(llama(), checkpoint(llama(), { "score.weight": [2, 24] })),
    TypeError,
    "score.weight is [2,24], not [3,24]",
  );
});

Deno.test("copies of tied matrices and parts that are not used may be left over", async () => {
  const extra = checkpoint(llama(), { "lm_head.weight": [121, 24] });
  assertEquals((await loadWeights(llama(), extra)).has("lm_head.weight"), false);
  const full = buildModel(t5Config, { classes: 2, head: false });
  const encoder = buildModel(t5Config, { classes: 2, head: true });
  const values = await loadWeights(encoder, checkpoint(full));
  assertEquals([...values.keys()].filter((name) => name.startsWith("decoder.")), []);
  const copies = checkpoint(full, {
    "encoder.embed_tokens.weight": [121, 20],
    "decoder.embed_tokens.weight": [121, 20],
    "lm_head.weight": [121, 20],
  });
  assertEquals((await loadWeights(full, copies)).size, full.scope.parameters.size);
});
