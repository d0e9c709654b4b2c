import { assert, assertEquals, assertRejects } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { bertConfig, t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import type { Checkpoint } from "../../lib/train/checkpoint.ts";
import { defaultExecution, type Execution } from "../../lib/train/execution.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { Paused } from "../../lib/train/paused.ts";
import type { EpochDecision, EpochOutcome, TrainOutcome, TrainRun } from "../../lib/train/run.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { train } from "../../lib/train/trainer.ts";
import { trainPack } from "../../lib/train/train_pack.ts";

const WORDS = { words: ["no", "yes", "maybe"], ids: [[11], [100, 12], [31, 7, 9]] };

/** Examples of 3 to 12 tokens: two buckets. */
function examples(count: number): Encoded[] {
  const random = new Random(5, "examples");
  return Array.from({ length: count }, () => {
    const label = random.below(3);
    const ids = Array.from({ length: 3 + random.below(10) }, () => 40 + random.below(80));
    return { ids: [10 + label, ...ids], label };
  });
}

interface CellSpec {
  readonly method: string;
  readonly options?: MethodOptions;
  readonly settings?: Partial<TrainSettings>;
  readonly onEpoch?: (epoch: EpochOutcome) => EpochDecision | void;
  readonly resume?: Checkpoint;
}

interface Setup {
  readonly config?: Record<string, unknown>;
  readonly head?: boolean;
  readonly settings?: Partial<TrainSettings>;
  readonly precision?: "f16";
  readonly execution?: Partial<Execution>;
  readonly weights?: readonly number[];
  readonly signal?: AbortSignal;
}

/** What a run leaves and has told on its way. */
interface Told {
  readonly end: TrainOutcome | Paused;
  readonly epochs: EpochOutcome[];
  readonly checkpoints: Checkpoint[];
}

function makeModel({ config = t5Config, head = false }: Setup) {
  return buildModel(config, { classes: 3, head });
}

function makeRun(gpu: Gpu, setup: Setup, cell: CellSpec, told: Omit<Told, "end">): TrainRun {
  const model = makeModel(setup);
  const method = methods[cell.method];
  return {
    gpu,
    model,
    attached: attachMethod(model, method, method.parse(cell.options ?? {})),
    task: taskOf(setup, model),
    settings: trainSettings({
      ...{ learningRate: 0.02, batchSize: 6, epochs: 3, eps: 1e-3 },
      ...setup.settings,
      ...cell.settings,
    }),
    seed: 3,
    precision: setup.precision,
    weights: randomWeights(model.scope.select(), 1),
    train: examples(20),
    validation: examples(30).slice(20),
    splits: { test: examples(41).slice(30) },
    execution: { ...defaultExecution, checkpoint: null, ...setup.execution },
    signal: setup.signal,
    resume: cell.resume,
    onCheckpoint: (checkpoint) => {
      told.checkpoints.push(checkpoint);
      return Promise.resolve();
    },
    onEpoch: (epoch) => {
      told.epochs.push(epoch);
      return cell.onEpoch?.(epoch);
    },
  };
}

function taskOf({ weights }: Setup, model: ReturnType<typeof makeModel>) {
  return makeTask(model, 0, model.textToText ? WORDS : null, weights ?? null);
}

function baseOf(setup: Setup) {
  return () => {
    const model = makeModel(setup);
    return { model, task: taskOf(setup, model) };
  };
}

function methodsOf(cells: readonly CellSpec[]) {
  return cells.map(({ method, options = {} }) => (
    { method: methods[method], options: methods[method].parse(options) }
  ));
}

async function alone(gpu: Gpu, setup: Setup, cell: CellSpec): Promise<Told> {
  const told = { epochs: [], checkpoints: [] };
  try {
    return { ...told, end: await train(makeRun(gpu, setup, cell, told)) };
  } catch (error) {
    if (error instanceof Paused) return { ...told, end: error };
    throw error;
  }
}

async function packed(gpu: Gpu, setup: Setup, cells: readonly CellSpec[]): Promise<Told[]> {
  const told = cells.map(() => ({ epochs: [], checkpoints: [] }));
  const runs = cells.map((cell, i) => makeRun(gpu, setup, cell, told[i]));
  const ends = await trainPack({ base: baseOf(setup), methods: methodsOf(cells), runs });
  return ends.map((end, i) => ({ ...told[i], end }));
}

/** All but times. */
function timeless({ end, epochs, checkpoints }: Told) {
  const clocks = { trainSeconds: 0, seconds: 0, secondsBefore: 0 };
  return {
    end: end instanceof Paused ? { paused: end.epoch } : { ...end, ...clocks },
    epochs,
    checkpoints: checkpoints.map((one) => ({ ...one, ...clocks })),
  };
}

async function expectSame(gpu: Gpu, setup: Setup, cells: readonly CellSpec[]): Promise<Told[]> {
  const found = await packed(gpu, setup, cells);
  for (const [i, cell] of cells.entries()) {
    assertEquals(timeless(found[i]), timeless(await alone(gpu, setup, cell)), cell.method);
  }
  return found;
}

const THREE: readonly CellSpec[] = [
  { method: "lora", options: { rank: 2, dropout: 0.3 } },
  { method: "adapter", options: { bottleneck: 3 }, settings: { learningRate: 0.005 } },
  { method: "lora", options: { rank: 5 }, settings: { optimizer: "adafactor", clipNorm: null } },
];

gpuTest("runs of one pack leave what they leave alone", async (gpu) => {
  await expectSame(gpu, {}, THREE);
});

gpuTest("a pack with micro-batches, class weights, blocks computed again, a head", async (gpu) => {
  await expectSame(gpu, { settings: { microBatch: 4 } }, THREE.slice(0, 2));
  await expectSame(gpu, { weights: [1, 2, 0.5] }, THREE.slice(0, 2));
  await expectSame(gpu, { execution: { recompute: "always" } }, THREE.slice(0, 2));
  const heads = [0.01, 0.1].map((learningRate) => ({ method: "head", settings: { learningRate } }));
  await expectSame(gpu, { config: bertConfig, head: true }, heads);
});

gpuTest("a pack with dropout in the base", async (gpu) => {
  const setup = { config: bertConfig, head: true, settings: { frozenDropout: 0.2 } };
  await expectSame(gpu, setup, THREE.slice(0, 2));
});

gpuTest("a pack in f16: one method with other numbers", async (gpu) => {
  if (!gpu.device.features.has("shader-f16")) throw new Error("the adapter has no shader-f16");
  const cells = [1, 4].map((rank): CellSpec => ({ method: "lora", options: { rank } }));
  await expectSame(gpu, { precision: "f16" }, cells);
  await assertRejects(
    () => packed(gpu, { precision: "f16" }, THREE),
    RangeError,
    "Cannot train cells in one program",
  );
});

gpuTest("cells that do not fit together train in several packs", async (gpu) => {
  const [one] = await expectSame(gpu, {}, THREE.slice(0, 1));
  const { total } = (one.end as TrainOutcome).memory;
  // Room for two, and for one alone.
  for (const memory of [2.2 * total, 1.1 * total]) {
    await expectSame(gpu, { execution: { memory, keepFeatures: "never" } }, [...THREE, THREE[0]]);
  }
});

gpuTest("a cell that diverges does not disturb its neighbours", async (gpu) => {
  const wild: CellSpec = { method: "lora", settings: { learningRate: 1e30, clipNorm: null } };
  const [first, diverged] = await expectSame(gpu, {}, [THREE[0], wild, THREE[1]]);
  assert(diverged.epochs.at(-1)!.losses.some((loss) => !Number.isFinite(loss)));
  assert(first.epochs.at(-1)!.losses.every((loss) => Number.isFinite(loss)));
});

gpuTest("a cell that stops, keeps or is left early goes its own way", async (gpu) => {
  const onEpoch = [
    ({ epoch }: EpochOutcome) => ({ keep: epoch === 1, stop: epoch === 2 }),
    ({ epoch }: EpochOutcome) => ({ keep: epoch === 2 }),
    ({ epoch }: EpochOutcome) => ({ pause: epoch === 1 }),
    ({ epoch }: EpochOutcome) => ({ stop: epoch === 1 }),
  ];
  const cells = onEpoch.map((onEpoch, i) => ({ ...THREE[i % 3], onEpoch }));
  const found = await expectSame(gpu, {}, cells);
  assertEquals(
    found.map(({ epochs }) => epochs.length),
    [2, 3, 1, 1],
  );
  // All of a pack that is left is saved, and goes on alone or in another pack.
  const pausing = THREE.map((cell) => ({ ...cell, onEpoch: onEpoch[2] }));
  const left = await expectSame(gpu, {}, pausing);
  const going = THREE.map((cell, i) => ({ ...cell, resume: left[i].checkpoints[0] }));
  const whole = await packed(gpu, {}, THREE);
  const [resumed] = await packed(gpu, {}, going.slice(0, 2));
  const single = await alone(gpu, {}, going[1]);
  const trained = ({ end }: Told) => (end as TrainOutcome).trained;
  assertEquals(trained(resumed), trained(whole[0]));
  assertEquals(trained(single), trained(whole[1]));
});

gpuTest("a pack is saved in the middle of an epoch and goes on to the same bits", async (gpu) => {
  const saving = { execution: { checkpoint: { steps: 3 } } };
  const first = await expectSame(gpu, saving, THREE);
  assertEquals(first[0].checkpoints.map(({ step }) => step), [3, 6, 9, 12]);
  const resumed = THREE.map((cell, i) => ({ ...cell, resume: first[i].checkpoints[1] }));
  const again = await packed(gpu, {}, resumed);
  again.forEach(({ end, epochs }, i) => {
    assertEquals(epochs, first[i].epochs);
    assertEquals((end as TrainOutcome).trained, (first[i].end as TrainOutcome).trained);
  });
  const apart = resumed.with(1, { ...THREE[1], resume: first[1].checkpoints[0] });
  await assertRejects(() => packed(gpu, {}, apart), RangeError, "differs from");
});

gpuTest("a pack that is stopped is saved where it stands", async (gpu) => {
  const stop = new AbortController();
  const setup = { signal: stop.signal, execution: { checkpoint: { seconds: 1000 } } };
  const told: Checkpoint[][] = [];
  const cells = THREE.map((cell): CellSpec => ({
    ...cell,
    onEpoch: () => stop.abort(new Error("enough")),
  }));
  const runs = cells.map((cell) => {
    const own = { epochs: [], checkpoints: [] };
    told.push(own.checkpoints);
    return makeRun(gpu, setup, cell, own);
  });
  await assertRejects(
    () => trainPack({ base: baseOf(setup), methods: methodsOf(cells), runs }),
    Error,
    "enough",
  );
  assertEquals(told.map((own) => own.map(({ step, epoch }) => [step, epoch])), [
    [[4, 1]],
    [[4, 1]],
    [[4, 1]],
  ]);
});
