/**
 * The trainer itself, from encoded examples to the last update: batching, buckets, waits and all.
 *
 * @module
 */

import { Random } from "../lib/data/random.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { trainSettings } from "../lib/train/settings.ts";
import { type Encoded, makeTask } from "../lib/train/task.ts";
import { train } from "../lib/train/trainer.ts";
import type { BenchOptions } from "./main.ts";
import type { Row } from "./report.ts";
import {
  LABEL_WORDS,
  LEARNING_RATE,
  modelOf,
  startOf,
  type Workload,
  WORKLOADS,
} from "./workload.ts";

/** Examples per second of one epoch over texts of 8 to 32 tokens, evaluation and compilation apart. */
export async function benchEndToEnd(gpu: Gpu, options: BenchOptions): Promise<Row[]> {
  const { filter, quick, print } = options;
  const rows: Row[] = [];
  for (const workload of WORKLOADS) {
    const { name } = workload;
    if (!name.includes(filter) || name.startsWith("T5-small") || (quick && rows.length > 0)) {
      continue;
    }
    print(`end to end ${name}`);
    rows.push(await measureEpoch(gpu, workload, quick ? 128 : 512));
  }
  return rows;
}

async function measureEpoch(gpu: Gpu, workload: Workload, count: number): Promise<Row> {
  const built = modelOf(workload);
  const { model, attached } = built;
  const weights = new Map([...startOf(built)].map(([name, { data }]) => [name, data]));
  const random = new Random(0, "bench");
  const vocabulary = Number(workload.config.vocab_size);
  const examples = Array.from({ length: count }, (_, i): Encoded => ({
    ids: Array.from({ length: 8 + random.below(25) }, () => 7 + random.below(vocabulary - 7)),
    label: i % 2,
  }));
  const outcome = await train({
    ...{ gpu, model, attached, weights, seed: 0, precision: workload.precision },
    task: makeTask(model, 0, model.textToText === undefined ? null : LABEL_WORDS),
    settings: trainSettings({ learningRate: LEARNING_RATE, epochs: 2, batchSize: workload.batch }),
    train: examples,
    validation: examples.slice(0, workload.batch),
  });
  return {
    step: workload.name,
    batch: workload.batch,
    tokens: "8 to 32",
    examples: 2 * count,
    "examples/s": 2 * count / outcome.trainSeconds,
    "ms/step": 1000 * outcome.trainSeconds / outcome.steps,
    "GFLOP/s": outcome.operations / outcome.trainSeconds / 1e9,
  };
}
