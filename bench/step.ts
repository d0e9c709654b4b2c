/**
 * Whole training steps: forward, backward, clipping and AdamW of two-layer models of BERT-tiny's
 * width (128, feed-forward 512), batch 16 × 32 tokens.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { Session } from "../lib/gpu/session.ts";
import { llama } from "../lib/models/llama.ts";
import type { Model } from "../lib/models/model.ts";
import { t5 } from "../lib/models/t5.ts";
import { methods } from "../lib/peft/index.ts";
import { attachMethod } from "../lib/peft/method.ts";
import { backwardRoots } from "../lib/train/backward.ts";
import { initialValues, randomWeights } from "../lib/train/initialize.ts";
import { buildUpdate } from "../lib/train/optimizer.ts";
import { makeTask } from "../lib/train/task.ts";
import { measure } from "./measure.ts";
import type { Row } from "./report.ts";

const BATCH = 16;
const LENGTH = 32;
const VOCABULARY = 30_522;

const models: Readonly<Record<string, () => Model>> = {
  T5: () =>
    t5({
      vocabulary: VOCABULARY,
      width: 128,
      headSize: 64,
      inner: 512,
      encoderLayers: 2,
      decoderLayers: 2,
      heads: 2,
      buckets: 32,
      maxDistance: 128,
      epsilon: 1e-6,
      activation: "relu",
      gated: false,
      tied: true,
      initializerFactor: 1,
      startId: 0,
      padId: 0,
      eosId: 1,
    }),
  Llama: () =>
    llama({
      vocabulary: VOCABULARY,
      width: 128,
      inner: 512,
      layers: 2,
      heads: 2,
      keyHeads: 2,
      headSize: 64,
      epsilon: 1e-5,
      theta: 10000,
      activation: "silu",
      attentionBias: false,
      feedForwardBias: false,
      maxLength: 512,
      deviation: 0.02,
    }, 2),
};

/** Steps per second, and host time and launches per step, of each model by full and LoRA. */
export async function benchStep(
  gpu: Gpu,
  filter: string,
  print: (line: string) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, build] of Object.entries(models)) {
    for (const method of ["full", "lora"]) {
      if (!`${name} ${method}`.includes(filter)) continue;
      print(`step ${name} ${method}`);
      rows.push(await measureStep(gpu, name, build(), method));
    }
  }
  return rows;
}

async function measureStep(
  gpu: Gpu,
  name: string,
  model: Model,
  methodName: string,
): Promise<Row> {
  const method = methods[methodName];
  const attached = attachMethod(model, method, method.parse({}));
  const task = makeTask(model, 0, { words: ["negative", "positive"], ids: [[5], [6]] });
  const session = new Session(gpu);
  try {
    const update = buildUpdate({
      parameters: attached.trainable.map(({ node }) => node),
      steps: 1,
      schedule: "constant",
      warmupSteps: 0,
      learningRate: 1e-4,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      decay: "all",
      clipNorm: 1,
    });
    const program = session.program(backwardRoots(task.loss({}), update), { B: BATCH, T: LENGTH });
    const updating = session.program(update.roots, {});
    await session.build();
    const weights = randomWeights(model.scope.select(), 0);
    for (const [name, values] of weights) session.upload(name, values);
    for (const parameter of attached.delta.select()) {
      session.upload(parameter.name, initialValues(parameter, 0, weights));
    }
    for (const [name, values] of update.initial) session.upload(name, values);
    const examples = Array.from({ length: BATCH }, (_, row) => ({
      ids: Array.from({ length: LENGTH }, (_, t) => 7 + (row * 577 + t * 31) % (VOCABULARY - 7)),
      label: row % 2,
    }));
    const inputs = task.trainingInputs({
      examples,
      indices: examples.map((_, i) => i),
      size: BATCH,
      length: LENGTH,
    });

    let host = 0;
    let steps = 0;
    const submit = (count: number) => {
      for (let i = 0; i < count; i++) {
        const start = performance.now();
        session.write(program, inputs);
        const recorded = session.encode([program, updating]);
        host += performance.now() - start;
        steps++;
        gpu.device.queue.submit([recorded]);
      }
    };
    const [timing] = await measure([{ name, submit }], () => session.wait());
    const losses = (await session.readVariables(["losses"])).get("losses")!;
    if (!losses.every(Number.isFinite)) throw new Error(`The loss of ${name} is not finite`);
    return {
      model: name,
      method: methodName,
      shape: `${BATCH}x${LENGTH}`,
      "ms/step": timing.median,
      "steps/s": 1000 / timing.median,
      // Writing inputs and recording the launches; a software adapter works inside the submit.
      "host µs/step": host / steps * 1000,
      dispatches: program.dispatches + updating.dispatches,
      "planned MiB": session.memory().total / 2 ** 20,
    };
  } finally {
    session.destroy();
  }
}
