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
async function compare(gpu: Gpu, config: RawConfig, name: string, own: Case): Promise<number> {
  const plain = await run(gpu, config, name, own, { keepFeatures: "never" });
  const kept = await run(gpu, config, name, own, {});
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
