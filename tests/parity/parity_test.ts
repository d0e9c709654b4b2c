/** Parity on folders made here: other names and sizes than the golden ones, and broken ones. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { adapterHubNames } from "../../lib/formats/adapterhub.ts";
import type { NameMap } from "../../lib/formats/delta.ts";
import { openDeltaNames } from "../../lib/formats/opendelta.ts";
import { peftNames } from "../../lib/formats/peft.ts";
import { type Tensor, writeSafetensors } from "../../lib/formats/safetensors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { checkParity } from "../../lib/parity/parity.ts";
import { measure } from "../../lib/parity/measure.ts";
import { reportText } from "../../lib/parity/report.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import {
  bertConfig,
  classes,
  gpt2Config,
  inputs,
  llamaConfig,
  smallBatch,
  t5Config,
  t5GatedConfig,
  targets,
} from "../small_models.ts";

const same: NameMap = { own: (name) => name, foreign: (name) => name };

interface Made {
  readonly dir: string;
  readonly expected: Map<string, Tensor>;
}

/** Writes a golden folder whose expected tensors are what this project computes. */
async function makeFolder(gpu: Gpu, dir: string, made: {
  config: RawConfig;
  method: string;
  options?: MethodOptions;
  names?: NameMap;
  adapter?: { config: unknown; file: string; configFile?: string };
}): Promise<Made> {
  const { config, method, options = {}, names = same, adapter } = made;
  const model = buildModel(config, { classes: 3, head: false });
  const attached = attachMethod(model, methods[method], methods[method].parse(options));
  const base = randomWeights(model.scope.select(), 3);
  // Random ups and B, so that every gradient says something.
  const trains = new Set(attached.trainable);
  const delta = new Map(
    attached.delta.select().filter((one) => trains.has(one)).map(({ name, shape }) => [
      name,
      randomWeights([{
        name,
        shape,
        node: model.scope.select()[0].node,
        initializer: { kind: "normal", deviation: 0.1 },
      }], 5).get(name)!,
    ]),
  );
  const constants = attached.delta.select().filter((one) => !trains.has(one))
    .map((one) => [one.name, initialValues(one, 0, base)] as const);
  const found = await measure({
    gpu,
    model,
    attached,
    values: new Map([...base, ...delta, ...constants]),
    batch: smallBatch(model),
    steps: 5,
    learningRate: 1e-3,
    weightDecay: 0.01,
    wanted: attached.trainable.map(({ name }) => name),
  });
  const expected = new Map<string, Tensor>(found.outputs);
  const losses = Float32Array.of(...found.losses, found.final.get("loss")!.data[0]);
  expected.set("train.losses", { shape: [6], data: losses });
  expected.set("train.final_logits", found.final.get("logits")!);
  for (const { name, shape } of attached.trainable) {
    expected.set(`grad.${names.foreign(name)}`, found.gradients.get(name)!);
    expected.set(`final.${names.foreign(name)}`, { shape, data: found.parameters.get(name)! });
  }
  const tensors = (values: ReadonlyMap<string, Float32Array>, named: NameMap) =>
    new Map([...values].map(([name, data]) => {
      const { shape } = model.scope.parameters.get(name) ?? attached.delta.parameters.get(name)!;
      return [named.foreign(name), { shape, data }] as const;
    }));
  const json = (file: string, value: unknown) =>
    Deno.writeTextFile(`${dir}/${file}`, JSON.stringify(value));
  await json("config.json", config);
  await json("batch.json", { ...inputs, ...model.textToText ? targets : classes });
  await json("check.json", { inputs: "batch.json" });
  await writeSafetensors(`${dir}/model.safetensors`, tensors(base, same));
  await writeSafetensors(`${dir}/expected.safetensors`, expected);
  if (adapter !== undefined) {
    await json(adapter.configFile ?? "adapter_config.json", adapter.config);
    await writeSafetensors(`${dir}/${adapter.file}`, tensors(delta, names));
  }
  return { dir, expected };
}

function parityTest(name: string, body: (gpu: Gpu, dir: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const gpu = await openGpu();
    const dir = await Deno.makeTempDir();
    try {
      await body(gpu, dir);
    } finally {
      gpu.destroy();
      await Deno.remove(dir, { recursive: true });
    }
  });
}

const bottleneckConfig = {
  hidden_size: 24,
  name: "mood.v2",
  config: {
    adapter_residual_before_ln: false,
    is_parallel: false,
    ln_after: false,
    ln_before: false,
    mh_adapter: false,
    non_linearity: "swish",
    original_ln_after: true,
    original_ln_before: true,
    output_adapter: true,
    reduction_factor: 5,
    residual_before_ln: true,
    scaling: 1.0,
  },
};

/** What OpenDelta puts adapters behind in the small T5. */
const t5Blocks = ["encoder.block.0", "encoder.block.1", "decoder.block.0"].flatMap((block) => [
  `${block}.layer.0.SelfAttention.o`,
  `${block}.layer.${block.startsWith("encoder") ? 1 : 2}.DenseReluDense.wo`,
]);

parityTest("folders of any name and size are compared in full", async (gpu, dir) => {
  const kinds = {
    "a T5": { config: t5Config, method: "full" },
    "a head": { config: llamaConfig, method: "head" },
    "an adapter": {
      config: llamaConfig,
      method: "adapter",
      options: { bottleneck: 4, activation: "swish", placement: "pfeiffer" },
      names: adapterHubNames("mood.v2"),
      adapter: { config: bottleneckConfig, file: "adapter.safetensors" },
    },
    "a LoRA": {
      config: llamaConfig,
      method: "lora",
      options: { rank: 2, alpha: 3, targets: "k_proj+gate_proj" },
      names: peftNames("lora"),
      adapter: {
        config: {
          peft_type: "LORA",
          r: 2,
          lora_alpha: 3,
          target_modules: ["k_proj", "gate_proj"],
          modules_to_save: ["score"],
        },
        file: "adapter_model.safetensors",
      },
    },
    "a DoRA": {
      config: gpt2Config,
      method: "lora",
      options: { rank: 2, alpha: 3, targets: "c_attn+mlp.c_proj", dora: true, rslora: true },
      names: peftNames("lora"),
      adapter: {
        config: {
          peft_type: "LORA",
          r: 2,
          lora_alpha: 3,
          target_modules: ["c_attn", "mlp.c_proj"],
          use_dora: true,
          use_rslora: true,
          fan_in_fan_out: true,
        },
        file: "adapter_model.safetensors",
      },
    },
    "a PiSSA": {
      config: bertConfig,
      method: "lora",
      options: { rank: 3, alpha: 6, init: "pissa" },
      names: peftNames("lora"),
      adapter: {
        config: {
          peft_type: "LORA",
          r: 3,
          lora_alpha: 6,
          target_modules: ["query", "value"],
          init_lora_weights: "pissa",
        },
        file: "adapter_model.safetensors",
      },
    },
    "a doubled prompt": {
      config: t5Config,
      method: "soft_prompt",
      options: { tokens: 3, semantics: "peft" },
      names: peftNames("soft_prompt"),
      adapter: {
        config: {
          peft_type: "PROMPT_TUNING",
          task_type: "SEQ_2_SEQ_LM",
          num_virtual_tokens: 3,
        },
        file: "adapter_model.safetensors",
      },
    },
    "adapters after attention": {
      config: gpt2Config,
      method: "adapter",
      options: { bottleneck: 3, activation: "gelu_new", placement: "houlsby" },
      names: adapterHubNames("mood.v2"),
      adapter: {
        config: {
          ...bottleneckConfig,
          hidden_size: 12,
          config: {
            ...bottleneckConfig.config,
            mh_adapter: true,
            non_linearity: "gelu_new",
            original_ln_before: false,
            reduction_factor: 4,
          },
        },
        file: "adapter.safetensors",
      },
    },
    "adapters beside": {
      config: bertConfig,
      method: "adapter",
      options: { bottleneck: 6, placement: "parallel", scaling: 2 },
      names: adapterHubNames("mood.v2"),
      adapter: {
        config: {
          ...bottleneckConfig,
          hidden_size: 12,
          config: {
            ...bottleneckConfig.config,
            is_parallel: true,
            non_linearity: "relu",
            original_ln_before: false,
            reduction_factor: 2,
            scaling: 2.0,
          },
        },
        file: "adapter.safetensors",
      },
    },
    "OpenDelta's adapters": {
      config: t5GatedConfig,
      method: "adapter",
      options: { semantics: "opendelta", bottleneck: 3 },
      names: openDeltaNames(
        t5Blocks.flatMap((module) =>
          ["down", "up"].flatMap((part) =>
            ["weight", "bias"].map((kind) => `${module}.adapter.modulelist.${part}_proj.${kind}`)
          )
        ),
      ),
      adapter: {
        config: { delta_type: "adapter", bottleneck_dim: 3 },
        file: "delta.safetensors",
        configFile: "delta_config.json",
      },
    },
    "a prompt": {
      config: t5Config,
      method: "soft_prompt",
      options: { tokens: 3 },
      names: peftNames("soft_prompt"),
      adapter: {
        config: {
          peft_type: "PROMPT_TUNING",
          num_virtual_tokens: 3,
          num_transformer_submodules: 1,
        },
        file: "adapter_model.safetensors",
      },
    },
  };
  for (const [name, kind] of Object.entries(kinds)) {
    const folder = `${dir}/${name}`;
    await Deno.mkdir(folder);
    const { expected } = await makeFolder(gpu, folder, kind);
    const result = await checkParity(gpu, folder);
    assert(result.ok, reportText(result));
    assertEquals(result.rows.length, expected.size + 1); // and the share of final weights
    assert(result.rows.every(({ problem }) => problem === undefined));
  }
});

parityTest("an expected tensor that is off, odd or unknown fails the folder", async (gpu, dir) => {
  const { expected } = await makeFolder(gpu, dir, { config: llamaConfig, method: "full" });
  const nudged = (name: string, by: number): Tensor => {
    const { shape, data } = expected.get(name)!;
    const copy = Float32Array.from(data as Float32Array);
    copy[1] += by;
    return { shape, data: copy };
  };
  const largest = (name: string) =>
    (expected.get(name)!.data as Float32Array).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const grad = "grad.model.layers.1.mlp.up_proj.weight";
  const final = "final.model.embed_tokens.weight";
  const spoiled: [string, Tensor, RegExp][] = [
    ["hidden.1", nudged("hidden.1", 2.2e-5), /2\.2e-5 .* 2\.0e-5 +OUT OF TOLERANCE/],
    ["attention.0", nudged("attention.0", 2.2e-5), /OUT OF TOLERANCE/],
    ["logits", nudged("logits", NaN), /NaN .* OUT OF TOLERANCE/],
    [grad, nudged(grad, 1.1e-6 + 1.1e-4 * largest(grad)), /OUT OF TOLERANCE/],
    ["train.losses", nudged("train.losses", 1.1e-4), /OUT OF TOLERANCE/],
    ["train.final_logits", nudged("train.final_logits", 2.2e-3), /OUT OF TOLERANCE/],
    [final, nudged(final, 1.1e-2), /OUT OF TOLERANCE/],
    [
      "loss",
      { shape: [], data: Float32Array.of(1) },
      /NOT COMPARED: its shape is \[\], here \[1\]/,
    ],
    ["hidden.3", expected.get("hidden.2")!, /NOT COMPARED: this model and method have no such/],
    ["grad.lm_head.weight", expected.get("loss")!, /NOT COMPARED: this model and method have no/],
    ["speed", expected.get("loss")!, /NOT COMPARED: not a name of the golden layout/],
  ];
  for (const [name, tensor, message] of spoiled) {
    const file = `${dir}/expected.safetensors`;
    await writeSafetensors(file, new Map<string, Tensor>([...expected, [name, tensor]]));
    const result = await checkParity(gpu, dir);
    assert(!result.ok, name);
    const off = result.rows.filter(({ ok }) => !ok);
    assertEquals(off.map((row) => row.name), [name]);
    const line = reportText(result).split("\n").find((line) => line.startsWith(`${name} `))!;
    assertMatch(line, message);
  }
  // A thousandth of all final weights may be off, and not one more.
  const weights = expected.get(final)!;
  const total = [...expected].reduce(
    (sum, [name, { data }]) => name.startsWith("final.") ? sum + data.length : sum,
    0,
  );
  for (const [count, ok] of [[Math.floor(total / 1000), true], [Math.ceil(total / 1000), false]]) {
    const data = (weights.data as Float32Array).map((x, i) => i < Number(count) ? x + 1e-3 : x);
    await writeSafetensors(
      `${dir}/expected.safetensors`,
      new Map<string, Tensor>([...expected, [final, { shape: weights.shape, data }]]),
    );
    const result = await checkParity(gpu, dir);
    assertEquals(result.ok, ok);
  }
  // A gradient that is not expected: something trains here that did not there.
  const without = new Map([...expected].filter(([name]) => name !== grad));
  await writeSafetensors(`${dir}/expected.safetensors`, without);
  assertStringIncludes(
    reportText(await checkParity(gpu, dir)),
    "NOT COMPARED: it trains, but no gradient of it is expected",
  );
});

parityTest("a folder that lacks something or is of another kind says so", async (gpu, dir) => {
  await makeFolder(gpu, dir, { config: t5Config, method: "full" });
  const rejects = async (message: string, file: string, text: string | null) => {
    const path = `${dir}/${file}`;
    const before = await Deno.readFile(path).catch(() => null);
    if (text === null) await Deno.remove(path);
    else await Deno.writeTextFile(path, text);
    const error = await assertRejects(() => checkParity(gpu, dir), Error);
    assertStringIncludes(error.message, message);
    if (before === null) await Deno.remove(path);
    else await Deno.writeFile(path, before);
  };
  const batch = (changes: Record<string, unknown>) =>
    JSON.stringify({ ...inputs, ...targets, ...changes });
  await rejects("it has no expected.safetensors", "expected.safetensors", null);
  await rejects("neither it nor its parent has config.json", "config.json", null);
  await rejects("nor its parent has model.safetensors or", "model.safetensors", null);
  await rejects("neither it nor its parent has batch.json", "batch.json", null);
  await rejects(
    'inputs of check.json must be a file\'s name, found "../x"',
    "check.json",
    '{"inputs":"../x"}',
  );
  await rejects('model_type "mamba" is not supported yet', "config.json", '{"model_type":"mamba"}');
  await rejects("delta_config.json", "delta.safetensors", "");
  await rejects("but neither adapter_model.safetensors nor", "adapter_config.json", "{}");
  await rejects(
    "decoder_input_ids must have rows",
    "batch.json",
    batch({ decoder_input_ids: undefined }),
  );
  await rejects(
    "input_ids of row 0, column 2 must be a whole number in [0, 121), found 121",
    "batch.json",
    batch({ input_ids: [[1, 2, 121]] }),
  );
  await rejects(
    "attention_mask is 1 × 7, not 3 × 7",
    "batch.json",
    batch({ attention_mask: [[1, 1, 1, 1, 1, 1, 1]] }),
  );
  await rejects(
    "no label counts",
    "batch.json",
    batch({ labels: [[-100, -100, -100], [-100, -100, -100], [-100, -100, -100]] }),
  );
  await rejects(
    "labels of row 2, column 0 must be",
    "batch.json",
    batch({ labels: [[1, 2, 3], [1, 2, 3], [-1, 2, 3]] }),
  );
});

parityTest("a classifier's padding must be on the right", async (gpu, dir) => {
  await makeFolder(gpu, dir, { config: llamaConfig, method: "head" });
  const attention_mask = [...inputs.attention_mask.slice(0, 2), [0, 0, 1, 1, 1, 1, 1]];
  await Deno.writeTextFile(
    `${dir}/batch.json`,
    JSON.stringify({ ...inputs, ...classes, attention_mask }),
  );
  await assertRejects(
    () => checkParity(gpu, dir),
    RangeError,
    "attention_mask of row 2 must be ones, then zeros: padding is on the right",
  );
});
