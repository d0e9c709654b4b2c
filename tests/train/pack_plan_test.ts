import { assert, assertEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { t5Config } from "../small_models.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import type { MethodOptions } from "../../lib/peft/method.ts";
import { attachPack } from "../../lib/peft/pack.ts";
import { SHARE } from "../../lib/train/graphs.ts";
import { type PlannedRun, planRun } from "../../lib/train/plan_run.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { makeTask } from "../../lib/train/task.ts";

const WORDS = { words: ["no", "yes"], ids: [[11], [100, 12]] };

const examples = Array.from({ length: 8 }, (_, i) => ({
  ids: Array.from({ length: 7 }, (_, t) => 20 + (i * 7 + t * 3) % 90),
  label: i % 2,
}));

type CellSpec = readonly [name: string, options: MethodOptions];

function plan(gpu: Gpu, cells: readonly CellSpec[], own: Partial<TrainSettings> = {}): PlannedRun {
  const model = buildModel(t5Config, { classes: 2, head: false });
  const packed = cells.map(([name, options]) => (
    { method: methods[name], options: methods[name].parse(options) }
  ));
  const settings = trainSettings({ learningRate: 1e-3, batchSize: 4, epochs: 1, ...own });
  const attached = attachPack(model, packed, SHARE);
  const task = makeTask(model, 0, WORDS);
  return planRun(
    { gpu, model, task, seed: 1, train: examples, validation: examples },
    attached.map((one) => ({ attached: one, settings })),
  );
}

/** Launches of a step and of a scoring. */
function launches({ training, updating, scoring: { programs } }: PlannedRun): number[] {
  const [step] = training!.values();
  const [scoring] = programs.values();
  return [step.dispatches, updating!.dispatches, scoring.program.dispatches];
}

const ALIKE: readonly CellSpec[] = [
  ["lora", { rank: 4 }],
  ["lora", { rank: 4, dropout: 0.1 }],
  ["lora", { rank: 8, dora: true }],
  ["adapter", { bottleneck: 8, activation: "gelu" }],
  ["ia3", {}],
];

for (const [name, options] of ALIKE) {
  gpuTest(`cells of ${name} ${JSON.stringify(options)} launch no more than two`, (gpu) => {
    const of = (count: number) =>
      launches(plan(gpu, Array.from({ length: count }, () => [name, options] as const)));
    assertEquals(of(6), of(2));
    return Promise.resolve();
  });
}

gpuTest("a pack takes the bytes that were planned", async (gpu) => {
  const cells: CellSpec[] = [...ALIKE, ["lora", { rank: 3 }], ["adapter", { bottleneck: 5 }]];
  for (const optimizer of ["adamw", "adafactor"] as const) {
    const { session } = plan(gpu, cells, { optimizer });
    const create = gpu.device.createBuffer;
    let allocated = 0;
    gpu.device.createBuffer = (descriptor) => {
      allocated += descriptor.size;
      return create.call(gpu.device, descriptor);
    };
    try {
      await session.build();
    } finally {
      gpu.device.createBuffer = create;
    }
    assert(session.memory().padding > 0);
    assertEquals(allocated, session.memory().total, optimizer);
    session.destroy();
  }
});
