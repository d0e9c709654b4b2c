import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { gpt2Config, llamaConfig, t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import { writeFileAtomic } from "../../lib/formats/atomic.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import {
  type Checkpoint,
  encodeCheckpoint,
  identityDifferences,
  parseCheckpointInterval,
  readCheckpoint,
} from "../../lib/train/checkpoint.ts";
import { EpochWatch } from "../../lib/train/epoch_watch.ts";
import { defaultExecution } from "../../lib/train/execution.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { splitMetrics } from "../../lib/train/metrics.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { type EpochOutcome, train, type TrainRun } from "../../lib/train/trainer.ts";

const WORDS = { words: ["no", "yes"], ids: [[11], [100, 12]] };

function examples(count: number): Encoded[] {
  const random = new Random(5, "examples");
  return Array.from({ length: count }, () => {
    const label = random.below(2);
    const ids = Array.from({ length: 3 + random.below(10) }, () => 40 + random.below(60));
    return { ids: [10 + label, ...ids], label };
  });
}

interface Setup {
  readonly config: Record<string, unknown>;
  readonly method: string;
  readonly options?: MethodOptions;
  readonly settings?: Partial<TrainSettings>;
  readonly precision?: Precision;
}

/** Trains, keeping what it reports; the parts of `given` go first. */
async function run(gpu: Gpu, setup: Setup, given: Partial<TrainRun> = {}) {
  const { needsHead, parse } = methods[setup.method];
  const model = buildModel(setup.config, { classes: 2, head: needsHead });
  const settings = trainSettings({
    learningRate: 0.02,
    batchSize: 6,
    epochs: 3,
    ...setup.settings,
  });
  const watch = new EpochWatch(settings);
  const epochs: EpochOutcome[] = [];
  const validation = examples(32).slice(20);
  const outcome = await train({
    gpu,
    model,
    attached: attachMethod(model, methods[setup.method], parse(setup.options ?? {})),
    task: makeTask(model, 0, model.textToText ? WORDS : null),
    settings,
    seed: 3,
    precision: setup.precision,
    weights: randomWeights(model.scope.select(), 1),
    train: examples(20),
    validation,
    splits: { test: examples(40).slice(32) },
    onEpoch: (epoch) => {
      epochs.push(epoch);
      const { loss, ...metrics } = splitMetrics(
        validation.map(({ label }) => label),
        epoch.scores,
        2,
      );
      return watch.next({ ...metrics, evalLoss: loss });
    },
    ...given,
  });
  const { trained, splits, steps, operations } = outcome;
  return { epochs, trained, splits, steps, operations };
}

const cases: [string, Setup][] = [
  ["LoRA with dropout on T5", { config: t5Config, method: "lora", options: { dropout: 0.3 } }],
  ["Adafactor, micro-batches, the best epoch kept", {
    config: llamaConfig,
    method: "full",
    settings: { optimizer: "adafactor", microBatch: 4, keep: "best", metric: "loss" },
  }],
  ["patience", {
    config: gpt2Config,
    method: "lora",
    settings: { epochs: 6, patience: 1, keep: "best", learningRate: 0.3 },
  }],
  ["half precision", { config: llamaConfig, method: "lora", precision: "f16" }],
];

for (const [name, setup] of cases) {
  gpuTest(`a run goes on from a checkpoint to the same bits: ${name}`, async (gpu) => {
    if (setup.precision === "f16") assert(gpu.adapter.features.includes("shader-f16"));
    const whole = await run(gpu, setup);
    const folder = await Deno.makeTempDir();
    try {
      const saved: string[] = [];
      const watched = await run(gpu, setup, {
        execution: { ...defaultExecution, checkpoint: { steps: 1 } },
        onCheckpoint: async (checkpoint) => {
          const path = `${folder}/${saved.length}`;
          await writeFileAtomic(path, encodeCheckpoint(checkpoint, { cell: "a" }));
          saved.push(path);
        },
      });
      assertEquals(watched, whole);
      assertEquals(saved.length, whole.steps); // After every step; an epoch's last, after its scores.
      for (const path of [0, 3, 4, saved.length - 1].map((i) => saved[i])) {
        const { checkpoint: resume } = await readCheckpoint(path);
        assertEquals(await run(gpu, setup, { resume }), whole, path);
      }
      // Another run's state leads elsewhere: what is compared above does depend on it.
      const { checkpoint } = await readCheckpoint(saved[1]);
      const other = { ...checkpoint, step: 2, variables: new Map(checkpoint.variables) };
      const changed = [...checkpoint.variables].find(([name]) => name.endsWith("_moment"))?.[0] ??
        [...checkpoint.variables.keys()].find((name) => !/step|losses|clip|grad/.test(name))!;
      const { shape, data } = checkpoint.variables.get(changed)!;
      other.variables.set(changed, { shape, data: new Float32Array(data.length).fill(0.5) });
      const lost = await run(gpu, setup, { resume: other });
      assert(JSON.stringify(lost.epochs) !== JSON.stringify(whole.epochs), changed);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

gpuTest("a run that is stopped is saved where it stands", async (gpu) => {
  const [[, setup]] = cases;
  const whole = await run(gpu, setup);
  const controller = new AbortController();
  const saved: Checkpoint[] = [];
  await assertRejects(
    () =>
      run(gpu, setup, {
        signal: controller.signal,
        execution: { ...defaultExecution, checkpoint: { seconds: 1000 } },
        onSync: ({ step }) => {
          if (step >= 2) controller.abort(new Error("asked to stop"));
        },
        onCheckpoint: (checkpoint) => {
          saved.push(checkpoint);
          return Promise.resolve();
        },
      }),
    Error,
    "asked to stop",
  );
  assertEquals(saved.length, 1);
  assertEquals(await run(gpu, setup, { resume: saved[0] }), whole);
});

gpuTest("a checkpoint of another run's variables is refused", async (gpu) => {
  const [[, setup], [, other]] = cases;
  let saved: Checkpoint | null = null;
  await run(gpu, setup, {
    execution: { ...defaultExecution, checkpoint: { steps: 4 } },
    onCheckpoint: (checkpoint) => {
      saved = checkpoint;
      return Promise.resolve();
    },
  });
  const error = await assertRejects(() => run(gpu, other, { resume: saved }), TypeError);
  assert(
    error.message.startsWith("Cannot go on from the checkpoint: run and checkpoint differ in"),
  );
});

Deno.test("a device that is lost in a step: the error says so, the last checkpoint is whole", async () => {
  const [[, setup]] = cases;
  const saved: Checkpoint[] = [];
  const lost = await openGpu();
  const error = await assertRejects(
    () =>
      run(lost, setup, {
        execution: { ...defaultExecution, checkpoint: { steps: 2 } },
        onCheckpoint: (checkpoint) => {
          saved.push(checkpoint);
          return Promise.resolve();
        },
        onSync: ({ step }) => {
          if (step >= 5) lost.device.destroy();
        },
      }),
    Error,
  );
  assert(error.message.startsWith("Cannot go on: the GPU device was lost ("), error.message);
  assert(error.message.includes("start the same command again"), error.message);
  const gpu = await openGpu();
  try {
    assertEquals(saved.at(-1)!.step, 4);
    assertEquals(await run(gpu, setup, { resume: saved.at(-1) }), await run(gpu, setup));
  } finally {
    gpu.destroy();
  }
});

/** One by hand, with every kind of value. */
const checkpoint: Checkpoint = {
  step: 5,
  epoch: 1,
  batch: 1,
  trainSeconds: 0.25,
  seconds: 1.5,
  outcomes: [{
    epoch: 1,
    losses: [0.1, NaN, Infinity, 5e-324],
    scores: [[1 / 3, -0], [2, 3]],
    lossScale: { scale: 65536, skippedSteps: 1 },
  }],
  losses: [0.7],
  variables: new Map([
    ["w", { shape: [2, 1], data: Float32Array.of(1e-45, -0) }],
    ["step", { shape: [1], data: Uint32Array.of(4294967295) }],
  ]),
  kept: new Map([["w", { shape: [2, 1], data: Float32Array.of(1, 2) }]]),
};

Deno.test("a checkpoint is read as it was written", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const one of [checkpoint, { ...checkpoint, outcomes: [], losses: [], kept: null }]) {
      await writeFileAtomic(path, encodeCheckpoint(one, { cell: "a" }));
      const { identity, checkpoint: found } = await readCheckpoint(path);
      assertEquals(found, one);
      assertEquals(identityDifferences(identity, { cell: "a" }), []);
      assertEquals(identityDifferences(identity, { cell: "b", probe: "c" }), [
        "cell a instead of b",
        "probe none instead of c",
      ]);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a torn or altered checkpoint is recognised, wherever it is", async () => {
  const path = await Deno.makeTempFile();
  try {
    const parts = encodeCheckpoint(checkpoint, { cell: "a" });
    const whole = new Uint8Array(await new Blob(parts).arrayBuffer());
    for (let at = 0; at < whole.length; at += 7) {
      await Deno.writeFile(path, whole.subarray(0, at));
      await assertRejects(() => readCheckpoint(path), Error);
      const altered = whole.slice();
      altered[at] ^= 1;
      await Deno.writeFile(path, altered);
      const found = await readCheckpoint(path).catch((error) => error);
      // What stands in no digest is the padding of the header alone.
      if (!(found instanceof Error)) assertEquals(found.checkpoint, checkpoint);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("how often to save is read from text", () => {
  assertEquals(parseCheckpointInterval("500"), { steps: 500 });
  assertEquals(parseCheckpointInterval("30s"), { seconds: 30 });
  assertEquals(parseCheckpointInterval("1.5m"), { seconds: 90 });
  assertEquals(parseCheckpointInterval("1h"), { seconds: 3600 });
  assertEquals(parseCheckpointInterval("none"), null);
  for (const text of ["", "0", "-1", "1.5", "5d", "m", "0s"]) {
    assertThrows(() => parseCheckpointInterval(text), RangeError, "Cannot read");
  }
});
