import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adapterHubMethod, adapterHubNames, openAdapterHub } from "../../lib/formats/adapterhub.ts";
import { UnsupportedError } from "../../lib/formats/delta.ts";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";

const settings = {
  adapter_residual_before_ln: false,
  cross_adapter: false,
  dropout: 0.0,
  inv_adapter: null,
  is_parallel: false,
  leave_out: [],
  ln_after: false,
  ln_before: false,
  mh_adapter: false,
  non_linearity: "relu",
  original_ln_after: true,
  original_ln_before: true,
  output_adapter: true,
  phm_dim: 4,
  phm_layer: false,
  reduction_factor: 16,
  residual_before_ln: true,
  scaling: 1.0,
  use_gating: false,
};
const config = { config: settings, hidden_size: 512, name: "mood", version: "adapters.1.0.0" };
const changed = (changes: Record<string, unknown>) => ({
  ...config,
  config: { ...settings, ...changes },
});

Deno.test("a bottleneck's configuration becomes the method's options", () => {
  const options = {
    semantics: "adapterhub",
    bottleneck: 32,
    activation: "relu",
    placement: "pfeiffer",
    scaling: 1,
  };
  assertEquals(adapterHubMethod(config), { method: "adapter", options });
  const before = { original_ln_before: false };
  assertEquals(
    adapterHubMethod(changed({ ...before, non_linearity: "GELU" })).options,
    { ...options, activation: "gelu", placement: "ffn" },
  );
  assertEquals(
    adapterHubMethod(changed({ ...before, mh_adapter: true, non_linearity: "swish" })).options,
    { ...options, activation: "swish", placement: "houlsby" },
  );
  assertEquals(
    adapterHubMethod(
      changed({ ...before, is_parallel: true, scaling: 4, reduction_factor: 2 }),
    ).options,
    { ...options, bottleneck: 256, placement: "parallel", scaling: 4 },
  );
  const bottleneck = (reduction_factor: number) =>
    adapterHubMethod(changed({ reduction_factor })).options.bottleneck;
  assertEquals([100, 1000, 0.5].map(bottleneck), [5, 1, 1024]);
});

Deno.test("settings that change the result and are not supported are refused by name", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ scaling: "learned" }, 'scaling must be a number above 0, found "learned"'],
    [{ is_parallel: true }, "at most one of is_parallel, mh_adapter and original_ln_before"],
    [{ mh_adapter: true }, '"mh_adapter":true,"original_ln_before":true}'],
    [{ mh_adapter: undefined }, "mh_adapter"],
    [{ output_adapter: false }, "output_adapter false"],
    [{ ln_before: true }, "ln_before true"],
    [{ ln_after: true }, "ln_after true"],
    [{ residual_before_ln: "post_add" }, "residual_before_ln"],
    [{ adapter_residual_before_ln: true }, "adapter_residual_before_ln true"],
    [{ original_ln_after: false }, "original_ln_after false"],
    [{ original_ln_before: undefined }, "and none missing"],
    [{ cross_adapter: true }, "cross_adapter true"],
    [{ inv_adapter: "nice" }, 'inv_adapter "nice"'],
    [{ leave_out: [1] }, "leave_out [1]"],
    [{ phm_layer: true }, "phm_layer true"],
    [{ use_gating: true }, "use_gating true"],
    [{ dropout: 0.1 }, "dropout 0.1"],
    [{ stochastic_depth: 0.2 }, "stochastic_depth 0.2"],
    [{ reduction_factor: { default: 16 } }, "reduction_factor must be one number above 0"],
  ];
  for (const [changes, message] of bad) {
    assertThrows(() => adapterHubMethod(changed(changes)), TypeError, message);
  }
});

Deno.test("other kinds are told apart from broken ones", () => {
  const other = { ...config, config: { architecture: "lora", r: 8 } };
  assertThrows(() => adapterHubMethod(other), UnsupportedError, "not describe a bottleneck");
});

Deno.test("names go both ways", () => {
  const { own, foreign } = adapterHubNames("a.b");
  const pairs = [
    [
      "encoder.block.0.layer.1.adapter_down.weight",
      "encoder.block.0.layer.1.adapters.a.b.adapter_down.0.weight",
    ],
    [
      "encoder.block.0.layer.1.adapter_up.bias",
      "encoder.block.0.layer.1.adapters.a.b.adapter_up.bias",
    ],
    [
      "model.layers.3.mlp.adapter_up.weight",
      "model.layers.3.output_adapters.adapters.a.b.adapter_up.weight",
    ],
    [
      "model.layers.3.self_attn.adapter_up.weight",
      "model.layers.3.attention_adapters.adapters.a.b.adapter_up.weight",
    ],
    [
      "transformer.h.0.attn.adapter_down.bias",
      "transformer.h.0.attention_adapters.adapters.a.b.adapter_down.0.bias",
    ],
  ];
  for (const [ours, theirs] of pairs) {
    assertEquals(own(theirs), ours);
    assertEquals(foreign(ours), theirs);
  }
  assertEquals(foreign("score.weight"), "score.weight");
  for (
    const name of [
      "x.adapters.other.adapter_up.weight",
      "x.adapters.a.b.gate.weight",
      "score.weight",
    ]
  ) {
    assertThrows(
      () => own(name),
      TypeError,
      `tensor "${name}": it is not a bottleneck's of adapter "a.b"`,
    );
  }
});

Deno.test("a folder is opened under this project's names", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/adapter_config.json`, JSON.stringify(config));
    const data = Float32Array.of(1, 2);
    await writeSafetensors(
      `${dir}/adapter.safetensors`,
      new Map([["model.layers.0.output_adapters.adapters.mood.adapter_up.bias", {
        shape: [2],
        data,
      }]]),
    );
    const { tensors } = await openAdapterHub(dir);
    assertEquals(tensors.names(), ["model.layers.0.mlp.adapter_up.bias"]);
    assertEquals(await tensors.read("model.layers.0.mlp.adapter_up.bias"), data);
    await Deno.writeTextFile(
      `${dir}/adapter_config.json`,
      JSON.stringify({ ...config, name: null }),
    );
    await assertRejects(() => openAdapterHub(dir), TypeError, "name must be a text, found null");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
