import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import type { Checkpoint } from "../../lib/train/checkpoint.ts";
import type { Execution } from "../../lib/train/execution.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import type { EpochOutcome, SyncProgress, TrainRun } from "../../lib/train/run.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { STEPS_PER_SUBMIT, stepsPerSubmit } from "../../lib/train/steps_per_submit.ts";
import { makeTask } from "../../lib/train/task.ts";
import { train } from "../../lib/train/trainer.ts";
import { trainPack } from "../../lib/train/train_pack.ts";
import { gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config } from "../small_models.ts";

const examples = Array.from({ length: 23 }, (_, i) => ({
  ids: Array.from({ length: [5, 12][i % 2] }, (_, t) => 7 + (5 * i + 3 * t) % 100),
  label: i % 2,
}));

interface Case {
  readonly config: RawConfig;
  readonly methods: readonly string[];
  readonly settings?: Partial<TrainSettings>;
  readonly precision?: Precision;
}

interface Told {
  readonly epochs: EpochOutcome[];
  readonly saved: Checkpoint[];
}

function makeRun(
  gpu: Gpu,
  { config, settings, precision }: Case,
  name: string,
  execution: Partial<Execution>,
  told: Told,
): TrainRun {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: method.needsHead });
  return {
    gpu,
    model,
    attached: attachMethod(model, method, method.parse({})),
    task: makeTask(model, 0, null),
    settings: trainSettings({ learningRate: 1e-2, epochs: 3, batchSize: 4, ...settings }),
    seed: 3,
    precision,
    weights: randomWeights(model.scope.select(), 1),
    train: examples,
    validation: examples.slice(0, 9),
    splits: { test: examples.slice(9, 15) },
    execution: { recompute: "auto", memory: null, ...execution },
    onCheckpoint: (checkpoint) => Promise.resolve(void told.saved.push(checkpoint)),
    onEpoch: (epoch) => void told.epochs.push(epoch),
  };
}

/** What a case's runs leave, those of several methods in one program, but for times. */
async function outcomes(gpu: Gpu, own: Case, execution: Partial<Execution>): Promise<unknown> {
  const told = own.methods.map((): Told => ({ epochs: [], saved: [] }));
  const runs = own.methods.map((name, i) => makeRun(gpu, own, name, execution, told[i]));
  const ends = runs.length === 1 ? [await train(runs[0])] : await trainPack({
    base: () => {
      const model = buildModel(own.config, { classes: 2, head: methods[own.methods[0]].needsHead });
      return { model, task: makeTask(model, 0, null) };
    },
    methods: own.methods.map((name) => ({
      method: methods[name],
      options: methods[name].parse({}),
    })),
    runs,
  });
  return ends.map((end, i) => {
    assert("trained" in end);
    const { trained, splits, steps } = end;
    const saved = told[i].saved.map((one) => ({ ...one, trainSeconds: 0, seconds: 0 }));
    return { trained, splits, steps, epochs: told[i].epochs, saved };
  });
}

const cases: Readonly<Record<string, Case>> = {
  "a head on kept values": { config: bertConfig, methods: ["head"] },
  "LoRA": { config: gpt2Config, methods: ["lora"] },
  "micro-batches": {
    ...{ config: bertConfig, methods: ["adapter"] },
    settings: { batchSize: 5, microBatch: 2 },
  },
  "half precision": { config: bertConfig, methods: ["lora"], precision: "f16" },
  "two cells in one program": { config: bertConfig, methods: ["lora", "adapter"] },
};

for (const [label, own] of Object.entries(cases)) {
  gpuTest(`how many steps share a submit changes no bit of ${label}`, async (gpu) => {
    const checkpoint = { steps: 4 }; // in the middle of three, and of sixteen
    const expected = await outcomes(gpu, own, { stepsPerSubmit: 1, checkpoint });
    for (const stepsPerSubmit of [3, STEPS_PER_SUBMIT, undefined]) {
      assertEquals(await outcomes(gpu, own, { stepsPerSubmit, checkpoint }), expected);
    }
  });
}

gpuTest("losses that are read with an epoch's scores are those of its steps", async (gpu) => {
  for (const precision of ["f32", "f16"] as const) {
    const own: Case = { config: bertConfig, methods: ["lora"], precision, settings: { epochs: 5 } };
    const run = async (execution: Partial<Execution>) => {
      const told: Told = { epochs: [], saved: [] };
      const synced: [number, number, number][] = [];
      let waits = 0;
      const map = GPUBuffer.prototype.mapAsync;
      GPUBuffer.prototype.mapAsync = function (...options) {
        waits++;
        return map.apply(this, options);
      };
      try {
        const { trained } = await train({
          ...makeRun(gpu, own, "lora", execution, told),
          onSync: ({ epoch, step, loss }) => synced.push([epoch, step, loss]),
        });
        return { epochs: told.epochs, trained, synced, waits };
      } finally {
        GPUBuffer.prototype.mapAsync = map;
      }
    };
    const apart = await run({ checkpoint: { steps: 1 } }); // each step is saved, and so waited for
    const together = await run({});
    assertEquals([together.epochs, together.trained], [apart.epochs, apart.trained]);
    assertEquals(apart.synced.length, 30);
    for (const one of together.synced) {
      assert(apart.synced.some((other) => `${other}` === `${one}`));
    }
    const lastSteps = together.synced.map(([, step]) => step).filter((step) => step % 6 === 0);
    assertEquals(lastSteps, [6, 12, 18, 24, 30]);
    assert(together.waits < apart.waits);
  }
});

gpuTest("a run whose steps share submits stops where it is told to, saved", async (gpu) => {
  const own: Case = { config: bertConfig, methods: ["head"] };
  const told: Told = { epochs: [], saved: [] };
  const execution = { stepsPerSubmit: STEPS_PER_SUBMIT, checkpoint: { seconds: 1e6 } };
  const run = makeRun(gpu, own, "head", execution, told);
  const whole: Told = { epochs: [], saved: [] };
  const end = await train(makeRun(gpu, own, "head", execution, whole));
  const stop = new AbortController();
  const steps: number[] = [];
  const onSync = ({ step }: SyncProgress) => {
    steps.push(step);
    if (step > 1) stop.abort(new Error("enough"));
  };
  await assertRejects(() => train({ ...run, signal: stop.signal, onSync }), Error, "enough");
  const [last] = told.saved;
  assertEquals([told.saved.length, last.step], [1, steps.at(-1)]);
  const rest: Told = { epochs: [], saved: [] };
  const again = await train({ ...makeRun(gpu, own, "head", execution, rest), resume: last });
  assertEquals([again.trained, rest.epochs], [end.trained, whole.epochs]);
});

Deno.test("stepsPerSubmit() lets short steps share a submit, and long ones have their own", () => {
  assertEquals([1e5, 400, 50, 3].map(stepsPerSubmit), [STEPS_PER_SUBMIT, 8, 1, 1]);
});
