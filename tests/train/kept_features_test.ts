import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import type { Checkpoint } from "../../lib/train/checkpoint.ts";
import type { Execution } from "../../lib/train/execution.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { type EpochOutcome, train, type TrainOutcome } from "../../lib/train/trainer.ts";
import { gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";

const WORDS = { words: ["no", "yes"], ids: [[3], [5]] };

/** Lengths of three buckets, so many of each that batches take in what is left of a shorter one. */
function examples(count: number, from: number): Encoded[] {
  return Array.from({ length: count }, (_, i) => ({
    ids: Array.from(
      { length: [5, 14, 20][(i + from) % 3] },
      (_, t) => 7 + (5 * i + 3 * t + from) % 100,
    ),
    label: i % 2,
  }));
}

interface Case {
  readonly settings?: Partial<TrainSettings>;
  readonly options?: MethodOptions;
  readonly precision?: Precision;
  readonly weights?: readonly number[];
  readonly head?: boolean;
}

interface Outcome {
  readonly epochs: EpochOutcome[];
  readonly outcome: TrainOutcome;
  readonly saved: Checkpoint[];
}

async function run(
  gpu: Gpu,
  config: RawConfig,
  name: string,
  { settings, options = {}, precision, weights = undefined, head }: Case,
  execution: Partial<Execution>,
  resume?: Checkpoint,
): Promise<Outcome> {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: head ?? method.needsHead });
  const attached = attachMethod(model, method, method.parse(options));
  const epochs: EpochOutcome[] = [];
  const saved: Checkpoint[] = [];
  const outcome = await train({
    gpu,
    model,
    attached,
    task: makeTask(model, 0, model.textToText ? WORDS : null, weights ?? null),
    settings: trainSettings({ learningRate: 1e-2, epochs: 3, batchSize: 4, ...settings }),
    seed: 3,
    precision,
    weights: randomWeights(model.scope.select(), 1),
    train: examples(22, 0),
    validation: examples(9, 1),
    splits: { test: examples(7, 2) },
    execution: { recompute: "auto", memory: null, ...execution },
    resume,
    onCheckpoint: (checkpoint) => Promise.resolve(void saved.push(checkpoint)),
    onEpoch: (epoch) => void epochs.push(epoch),
  });
  return { epochs, outcome, saved };
}

/** What must not depend on how a run is carried out. */
function results({ epochs, outcome: { trained, splits, steps } }: Outcome): unknown {
  return { epochs, trained, splits, steps };
}

/** Runs with and without kept values; @returns bytes that were kept, and both outcomes. */
async function compare(
  gpu: Gpu,
  config: RawConfig,
  name: string,
  own: Case,
  recomputed = false,
): Promise<number> {
  const recompute = recomputed ? "always" : "never";
  const plain = await run(gpu, config, name, own, { recompute, keepFeatures: "never" });
  const kept = await run(gpu, config, name, own, { recompute });
  assertEquals(results(kept), results(plain));
  assertEquals(plain.outcome.memory.byRole.kept, 0);
  const bytes = kept.outcome.memory.byRole.kept;
  assert(kept.outcome.operations <= plain.outcome.operations);
  return bytes;
}

const families: Readonly<Record<string, RawConfig>> = {
  t5: t5Config,
  bert: bertConfig,
  gpt2: gpt2Config,
  llama: llamaConfig,
  "bert of larger heads": { ...bertConfig, hidden_size: 24 }, // attention in one launch
};

for (const [family, config] of Object.entries(families)) {
  for (const name of ["head", "adapter", "lora"]) {
    gpuTest(
      `keeping what does not change changes no bit of ${family} under ${name}`,
      async (gpu) => {
        const bytes = await compare(gpu, config, name, {});
        if (name === "head") assert(bytes > 0);
      },
    );
  }
}

const cases: Readonly<Record<string, [RawConfig, string, Case]>> = {
  "micro-batches, one of them short": [bertConfig, "head", {
    settings: { microBatch: 3, batchSize: 5 },
  }],
  "a batch that is no power of two": [gpt2Config, "adapter", { settings: { batchSize: 5 } }],
  "class weights": [llamaConfig, "head", { weights: [1, 3] }],
  "early stopping": [bertConfig, "head", { settings: { patience: 1, keep: "best" } }],
  "half precision": [bertConfig, "head", { precision: "f16" }],
  "half precision in the middle of blocks": [t5Config, "adapter", { precision: "f16" }],
  "half precision of Llama": [llamaConfig, "adapter", { precision: "f16" }],
  "blocks that are computed again": [bertConfig, "adapter", {}],
  "IA3's scaled keys": [t5Config, "ia3", {}],
  "biases": [bertConfig, "bitfit", {}],
  "prefixes": [llamaConfig, "prefix", {}],
  "prompts": [t5Config, "soft_prompt", {}],
};

for (const [label, [config, name, own]] of Object.entries(cases)) {
  gpuTest(`keeping what does not change changes no bit with ${label}`, async (gpu) => {
    const bytes = await compare(gpu, config, name, own, label.startsWith("blocks"));
    if (name === "head" || name === "adapter") assert(bytes > 0);
  });
}

gpuTest("a run on kept values goes on from a checkpoint to the same bits", async (gpu) => {
  const checkpoint = { steps: 4 };
  const whole = await run(gpu, bertConfig, "head", {}, { checkpoint });
  assert(whole.saved.length >= 3);
  for (const at of whole.saved) {
    const rest = await run(gpu, bertConfig, "head", {}, { checkpoint }, at);
    assertEquals(results(rest), results(whole));
    assertEquals(rest.outcome.memory, whole.outcome.memory);
    assertEquals(rest.outcome.operations, whole.outcome.operations);
  }
});

gpuTest("of a head alone, nothing before it runs in a step", async (gpu) => {
  for (const config of Object.values(families)) {
    const { outcome } = await run(gpu, config, "head", {}, {});
    assert(outcome.dispatchesPerStep <= 20, `${outcome.dispatchesPerStep} launches`);
  }
});

gpuTest(
  "under a budget less is computed at once, less is kept, and nothing where nothing fits",
  async (gpu) => {
    const at = async (execution: Partial<Execution>) =>
      (await run(gpu, llamaConfig, "adapter", {}, execution)).outcome;
    const plain = await at({ keepFeatures: "never" });
    const kept = await at({});
    assert(kept.memory.byRole.kept > 0 && kept.memory.total > plain.memory.total);
    const fitting = await at({ memory: kept.memory.total });
    assertEquals(fitting.memory, kept.memory);
    const apart = await at({ memory: kept.memory.total - 1 });
    assert(apart.memory.total < kept.memory.total);
    assert(apart.memory.activations < kept.memory.activations);
    const tight = await at({ memory: apart.memory.total - 1 });
    assert(tight.memory.byRole.kept < apart.memory.byRole.kept);
    assert(tight.memory.total < apart.memory.total);
    assertEquals((await at({ memory: plain.memory.total })).memory.byRole.kept, 0);
    for (const one of [fitting, apart, tight]) assertEquals(one.trained, plain.trained);
  },
);

for (const precision of ["f32", "f16"] as const) {
  gpuTest(
    `what does not fit the device is kept by the host, to the same bits in ${precision}`,
    async (gpu) => {
      const at = async (execution: Partial<Execution>, resume?: Checkpoint) =>
        await run(gpu, bertConfig, "head", { precision }, execution, resume);
      const plain = await at({ keepFeatures: "never" });
      const onDevice = await at({});
      const inBatches = await at({ memory: onDevice.outcome.memory.total - 1 });
      const { total, byRole } = inBatches.outcome.memory;
      const checkpoint = { steps: 5 };
      const byHost = await at({ memory: total - 1, checkpoint });
      assert(byRole.kept > 0);
      assertEquals(byHost.outcome.memory.byRole.kept, 0);
      assertEquals(byHost.outcome.operations, inBatches.outcome.operations);
      assert(byHost.outcome.operations < plain.outcome.operations);
      assertEquals(results(byHost), results(plain));
      const rest = await at({ memory: total - 1, checkpoint }, byHost.saved[1]);
      assertEquals(results(rest), results(plain));
    },
  );
}

gpuTest(
  "nothing is kept where dropout is active in the base, or where an epoch is the only one",
  async (gpu) => {
    for (const settings of [{ frozenDropout: 0.1 }, { epochs: 1 }]) {
      const { outcome } = await run(gpu, bertConfig, "head", { settings }, {});
      const { outcome: plain } = await run(gpu, bertConfig, "head", { settings }, {
        keepFeatures: "never",
      });
      assertEquals(outcome.operations, plain.operations);
      assertEquals(outcome.trained, plain.trained);
    }
  },
);
