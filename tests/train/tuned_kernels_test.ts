import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import { writeFileAtomic } from "../../lib/formats/atomic.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { KernelTuner } from "../../lib/gpu/tuner.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { type Checkpoint, encodeCheckpoint, readCheckpoint } from "../../lib/train/checkpoint.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import type { TrainOutcome, TrainRun } from "../../lib/train/run.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { trainPack } from "../../lib/train/train_pack.ts";
import { train } from "../../lib/train/trainer.ts";

const WORDS = { words: ["no", "yes"], ids: [[11], [100, 12]] };

function examples(count: number): Encoded[] {
  const random = new Random(5, "examples");
  return Array.from({ length: count }, () => {
    const ids = Array.from({ length: 3 + random.below(10) }, () => 40 + random.below(60));
    return { ids, label: random.below(2) };
  });
}

function makeRun(gpu: Gpu, given: Partial<TrainRun> = {}): TrainRun {
  const model = buildModel(t5Config, { classes: 2, head: false });
  return {
    gpu,
    model,
    attached: attachMethod(model, methods.lora, methods.lora.parse({ rank: 4 })),
    task: makeTask(model, 0, WORDS),
    settings: trainSettings({ learningRate: 0.02, batchSize: 6, epochs: 2 }),
    seed: 3,
    weights: randomWeights(model.scope.select(), 1),
    train: examples(20),
    validation: examples(12),
    ...given,
  };
}

/** Takes the last of the promising variants everywhere. */
function contrary(gpu: Gpu): KernelTuner {
  return new KernelTuner(gpu, {
    seconds: 60,
    time: (_, __, variants) => Promise.resolve(variants.map((_, i) => [variants.length - i])),
  });
}

const bits = ({ trained, operations }: TrainOutcome) => ({ trained: [...trained], operations });

gpuTest("a run has the same bits on tuned kernels, and tells them", async (gpu) => {
  const plain = await train(makeRun(gpu));
  const measured = await train(makeRun(gpu, { tuner: new KernelTuner(gpu, { seconds: 5 }) }));
  assertEquals(bits(measured), bits(plain));
  assert(gpu.kernelChoices.size > 0);
  const known = Object.entries(measured.kernels).filter(([size]) => gpu.kernelChoices.has(size));
  assertEquals(known, known.map(([size]) => [size, gpu.kernelChoices.get(size)!]));

  gpu.kernelChoices.clear();
  const tuned = await train(makeRun(gpu, { tuner: contrary(gpu) }));
  assertEquals(bits(tuned), bits(plain));
  const others = Object.keys(plain.kernels).filter((size) =>
    plain.kernels[size] !== tuned.kernels[size]
  );
  assert(others.length > 5, JSON.stringify(tuned.kernels));
});

gpuTest(
  "a run goes on on the kernels of its checkpoint, whatever is known by then",
  async (gpu) => {
    const path = await Deno.makeTempFile({ suffix: ".safetensors" });
    try {
      const saved: Checkpoint[] = [];
      const tuned = await train(makeRun(gpu, {
        tuner: contrary(gpu),
        execution: { recompute: "auto", memory: null, checkpoint: { steps: 2 } },
        onCheckpoint: (checkpoint) => Promise.resolve(void saved.push(checkpoint)),
      }));
      await writeFileAtomic(path, encodeCheckpoint(saved[1], { cell: "a" }));
      const { checkpoint: resume } = await readCheckpoint(path);
      assertEquals(resume.kernels, Object.fromEntries(gpu.kernelChoices));

      gpu.kernelChoices.clear();
      const plain = await train(makeRun(gpu));
      assertNotEquals(plain.kernels, tuned.kernels);
      const tuner = new KernelTuner(gpu, { seconds: 5, time: () => Promise.reject("measured") });
      const again = await train(makeRun(gpu, { resume, tuner }));
      assertEquals(again.kernels, tuned.kernels);
      assertEquals(bits(again), bits(plain));
      assertEquals(gpu.kernelChoices.size, 0);
    } finally {
      await Deno.remove(path);
    }
  },
);

gpuTest("a pack has the same bits on tuned kernels, and goes on on its own", async (gpu) => {
  const saved: Checkpoint[] = [];
  const pack = (given: Partial<TrainRun>, resumed: readonly (Checkpoint | undefined)[]) =>
    trainPack({
      base: () => {
        const model = buildModel(t5Config, { classes: 2, head: false });
        return { model, task: makeTask(model, 0, WORDS) };
      },
      methods: resumed.map(() => ({
        method: methods.lora,
        options: methods.lora.parse({ rank: 4 }),
      })),
      runs: resumed.map((resume) => makeRun(gpu, { ...given, resume })),
    }) as Promise<TrainOutcome[]>;
  const plain = await pack({}, [undefined, undefined]);
  const tuned = await pack({
    tuner: contrary(gpu),
    execution: { recompute: "auto", memory: null, checkpoint: { steps: 3 } },
    onCheckpoint: (checkpoint) => Promise.resolve(void saved.push(checkpoint)),
  }, [undefined, undefined]);
  assertEquals(tuned.map(bits), plain.map(bits));
  const [first, second] = saved;
  assertEquals(first.kernels, second.kernels);
  assert(Object.keys(first.kernels!).length > 5);
  const own = [...gpu.kernelChoices].filter(([size]) => size in first.kernels!);
  assertEquals(own, own.map(([size]) => [size, first.kernels![size]]));
  gpu.kernelChoices.clear();
  const tuner = new KernelTuner(gpu, { seconds: 5, time: () => Promise.reject("measured") });
  assertEquals((await pack({ tuner }, [first, second])).map(bits), plain.map(bits));
});
