import { assert, assertEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { bertConfig, t5Config } from "../small_models.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { makeTask } from "../../lib/train/task.ts";
import { train, type TrainOutcome } from "../../lib/train/trainer.ts";

/** What a device is asked for and given back, from now on. */
class Ledger {
  /** Bytes of buffers that the device works on, all that there ever were, and those alive. */
  allocated = 0;
  alive = 0;
  /** The most bytes of buffers to read back from at a time, and how many are alive. */
  staging = 0;
  mapped = 0;

  constructor(device: GPUDevice) {
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      assertEquals(buffer.size, descriptor.size);
      if (descriptor.usage & GPUBufferUsage.MAP_READ) {
        this.mapped += buffer.size;
        this.staging = Math.max(this.staging, this.mapped);
        buffer.destroy = () => {
          this.mapped -= buffer.size;
          destroy();
        };
        return buffer;
      }
      this.allocated += buffer.size;
      this.alive += buffer.size;
      buffer.destroy = () => {
        this.alive -= buffer.size;
        destroy();
      };
      return buffer;
    };
  }
}

const examples = Array.from({ length: 7 }, (_, i) => ({
  ids: Array.from({ length: i < 3 ? 5 : 11 }, (_, t) => 20 + (i * 7 + t * 3) % 90),
  label: i % 2,
}));

async function run(
  gpu: Gpu,
  config: RawConfig,
  name: string,
  precision: Precision,
  settings: Partial<TrainSettings> = {},
  onStep?: (step: number) => void,
): Promise<TrainOutcome> {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: method.needsHead });
  const words = { words: ["no", "yes"], ids: [[11], [100, 12]] };
  return await train({
    gpu,
    model,
    attached: attachMethod(model, method, method.parse({})),
    task: makeTask(model, 0, model.textToText ? words : null),
    settings: trainSettings({ learningRate: 1e-3, batchSize: 3, epochs: 1, ...settings }),
    precision,
    seed: 1,
    weights: randomWeights(model.scope.select(), 1),
    train: examples,
    validation: examples,
    splits: { test: examples.slice(3) },
    onSync: ({ step }) => onStep?.(step),
  });
}

const optimizers = { f32: ["adamw", "adafactor"], f16: ["adamw"] } as const;

/** A model, and the methods that it has no place for: T5 has no biases. */
const FAMILIES = [["T5", t5Config, ["bitfit"]], ["BERT", bertConfig, []]] as const;

for (const [family, config, without] of FAMILIES) {
  for (const precision of ["f32", "f16"] as const) {
    gpuTest(
      `${family} in ${precision}: every method takes the bytes that were planned`,
      async (gpu) => {
        const names = Object.keys(methods).filter((name) => !without.some((one) => one === name));
        for (const name of names) {
          for (const optimizer of optimizers[precision]) {
            const create = gpu.device.createBuffer;
            const ledger = new Ledger(gpu.device);
            const { memory } = await run(gpu, config, name, precision, { optimizer });
            gpu.device.createBuffer = create;
            const where = `${name} by ${optimizer}`;
            assertEquals(ledger.allocated, memory.total, where);
            assertEquals([ledger.alive, ledger.mapped], [0, 0], where);
            assert(ledger.staging > 0, where);
          }
        }
      },
    );
  }
}

gpuTest("what is kept of the frozen part takes the bytes that were planned", async (gpu) => {
  for (const name of ["head", "adapter"]) {
    const create = gpu.device.createBuffer;
    const ledger = new Ledger(gpu.device);
    const { memory } = await run(gpu, bertConfig, name, "f32", { epochs: 2 });
    gpu.device.createBuffer = create;
    assert(memory.byRole.kept > 0, name);
    assertEquals([ledger.allocated, ledger.alive, ledger.mapped], [memory.total, 0, 0], name);
  }
});

gpuTest("a run of 1,000 steps takes no more memory than one of 400", async (gpu) => {
  const resident = new Map<number, number>();
  const settings = { batchSize: 1, epochs: 144 };
  await run(gpu, bertConfig, "ia3", "f32", settings, (step) => {
    resident.set(step, Deno.memoryUsage().rss);
  });
  const most = (from: number, to: number) => {
    const found = [...resident].filter(([step]) => step > from && step <= to);
    assert(found.length > 0);
    return Math.max(...found.map(([, bytes]) => bytes));
  };
  const grown = most(800, 1008) - most(100, 400);
  assert(grown < 24 * 2 ** 20, `it grew by ${grown} bytes`);
});
