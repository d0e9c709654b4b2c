import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UnsupportedError } from "../../lib/formats/delta.ts";
import { openDeltaMethod, openDeltaNames, openOpenDelta } from "../../lib/formats/opendelta.ts";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";

const config = { delta_type: "adapter", bottleneck_dim: 8, modified_modules: ["mlp"] };
const forward = { blocks: new Set(["feed-forward"] as const) };
const both = { blocks: new Set(["feed-forward", "attention"] as const) };

Deno.test("an adapter's configuration becomes the method's options", () => {
  const options = {
    semantics: "opendelta",
    bottleneck: 8,
    activation: "gelu_new",
    placement: "ffn",
  };
  assertEquals(openDeltaMethod(config, forward), { method: "adapter", options });
  assertEquals(
    openDeltaMethod({ delta_type: "adapter", non_linearity: "ReLU" }, both).options,
    { ...options, bottleneck: 24, activation: "relu", placement: "houlsby" },
  );
});

Deno.test("other kinds are told apart from broken ones", () => {
  for (const delta_type of ["lora", undefined]) {
    assertThrows(() => openDeltaMethod({ delta_type }, forward), UnsupportedError, "delta_type");
  }
  const bad: [Record<string, unknown>, string][] = [
    [{ ...config, bottleneck_dim: 0 }, "bottleneck_dim must be a whole number above 0, found 0"],
    [{ ...config, non_linearity: 3 }, "non_linearity must be a text, found 3"],
    [{ ...config, sequential: 2 }, "sequential 2 is not supported"],
  ];
  for (const [changed, message] of bad) {
    assertThrows(() => openDeltaMethod(changed, forward), TypeError, message);
  }
  assertThrows(
    () => openDeltaMethod(config, { blocks: new Set(["attention"] as const) }),
    TypeError,
    "found attentions alone",
  );
});

Deno.test("modules lead to the blocks whose output they are, and back", () => {
  const sites = {
    "encoder.block.0.layer.1.DenseReluDense": "encoder.block.0.layer.1",
    "decoder.block.0.layer.2.DenseReluDense.wo": "decoder.block.0.layer.2",
    "decoder.block.0.layer.0.SelfAttention.o": "decoder.block.0.layer.0",
    "bert.encoder.layer.0.output.dense": "bert.encoder.layer.0.output",
    "bert.encoder.layer.0.attention.output.dense": "bert.encoder.layer.0.attention.output",
    "transformer.h.3.mlp": "transformer.h.3.mlp",
    "transformer.h.3.attn.c_proj": "transformer.h.3.attn",
    "model.layers.1.mlp.down_proj": "model.layers.1.mlp",
    "model.layers.1.self_attn": "model.layers.1.self_attn",
  };
  const theirs = (module: string) => `${module}.adapter.modulelist.up_proj.bias`;
  const names = openDeltaNames(Object.keys(sites).map(theirs));
  for (const [module, site] of Object.entries(sites)) {
    assertEquals(names.own(theirs(module)), `${site}.adapter_up.bias`);
    assertEquals(names.foreign(`${site}.adapter_up.bias`), theirs(module));
  }
  assertEquals(names.foreign("score.weight"), "score.weight");
  assertEquals([...names.blocks].sort(), ["attention", "feed-forward"]);
  for (const tensor of ["score.weight", theirs("encoder.block.0.layer.0.SelfAttention.q")]) {
    assertThrows(() => openDeltaNames([tensor]), TypeError, `tensor "${tensor}": it is not an`);
  }
});

Deno.test("a folder is opened under this project's names", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const write = (config: unknown) =>
      Deno.writeTextFile(`${dir}/delta_config.json`, JSON.stringify(config));
    await write({ delta_type: "lora" });
    await assertRejects(() => openOpenDelta(dir), UnsupportedError, 'delta_type "lora"');
    await write(config);
    await assertRejects(() => openOpenDelta(dir), Error, "delta.safetensors: no such file");
    const name = "model.layers.0.mlp.adapter.modulelist.down_proj.bias";
    const data = Float32Array.of(1, 2);
    await writeSafetensors(`${dir}/delta.safetensors`, new Map([[name, { shape: [2], data }]]));
    const { method, tensors, foreignName } = await openOpenDelta(dir);
    assertEquals(method, "adapter");
    assertEquals(tensors.names(), ["model.layers.0.mlp.adapter_down.bias"]);
    assertEquals(await tensors.read("model.layers.0.mlp.adapter_down.bias"), data);
    assertEquals(foreignName("model.layers.0.mlp.adapter_down.bias"), name);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
