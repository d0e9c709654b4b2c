/**
 * Several cells in one program beside the same cells one by one.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { Session } from "../lib/gpu/session.ts";
import { variableAttributes } from "../lib/graph/leaves.ts";
import { storagePolicy } from "../lib/graph/precision.ts";
import { buildModel } from "../lib/models/index.ts";
import { lora } from "../lib/peft/lora.ts";
import { attachMethod, fullPrecisionNames, type MethodOptions } from "../lib/peft/method.ts";
import { attachPack } from "../lib/peft/pack.ts";
import { openBase } from "../lib/sweep/base.ts";
import { packGraphs, SHARE } from "../lib/train/graphs.ts";
import { initialValues, randomWeights } from "../lib/train/initialize.ts";
import { EXAMPLE_INPUTS } from "../lib/train/kept_features.ts";
import { packSizes, tileRows } from "../lib/train/pack_rows.ts";
import { trainSettings } from "../lib/train/settings.ts";
import { shareRows } from "../lib/train/shared_rows.ts";
import { makeTask } from "../lib/train/task.ts";
import type { BenchOptions } from "./main.ts";
import { measure, type Work } from "./measure.ts";
import type { Row } from "./report.ts";
import { batchOf, LABEL_WORDS, T5_SMALL, type Workload } from "./workload.ts";

/** A cell of LoRA. */
interface Cell {
  readonly options: MethodOptions;
  readonly learningRate: number;
}

const CELLS: readonly Cell[] = [1, 4, 16, 64].flatMap((rank) =>
  [1e-3, 5e-3].map((learningRate) => ({ options: { rank, alpha: 2 * rank }, learningRate }))
);

/** Milliseconds of eight LoRA cells' step in one program, and of the eight steps alone. */
export async function benchPack(gpu: Gpu, { filter, quick, print }: BenchOptions): Promise<Row[]> {
  const embedded = (await openBase("embedded")).config;
  const workloads: Workload[] = [
    ...[8, 32].map((batch) => (
      { ...T5_SMALL, name: "embedded base", config: embedded, batch, length: 16 }
    )),
    ...gpu.adapter.software || quick ? [] : [T5_SMALL],
  ];
  const rows: Row[] = [];
  for (const workload of workloads.filter(({ name }) => name.includes(filter))) {
    print(`pack ${workload.name}`);
    rows.push(await measurePack(gpu, workload));
  }
  return rows;
}

async function measurePack(gpu: Gpu, workload: Workload): Promise<Row> {
  const alone: Step[] = [];
  let packed: Step | null = null;
  try {
    for (const cell of CELLS) alone.push(await openCells(gpu, workload, [cell]));
    packed = await openCells(gpu, workload, CELLS);
    const works: Work[] = [
      { name: "packed", submit: packed.submit },
      { name: "alone", submit: (count) => alone.forEach(({ submit }) => submit(count)) },
      { name: "one alone", submit: alone[0].submit },
    ];
    const [together, apart, one] = await measure(gpu, works);
    return {
      workload: `${workload.name}, ${workload.batch} × ${workload.length}`,
      cells: CELLS.length,
      "ms packed": together.median,
      "ms alone, sum": apart.median,
      "ms of one": one.median,
      "packed / sum": together.median / apart.median,
      "packed / one": together.median / one.median,
      spread: Math.max(together.spread, apart.spread),
      "dispatches packed": packed.dispatches,
      "dispatches alone": alone.reduce((sum, { dispatches }) => sum + dispatches, 0),
    };
  } finally {
    for (const { session } of [...alone, ...packed === null ? [] : [packed]]) session.destroy();
  }
}

/** A step that is ready to run. */
interface Step {
  readonly session: Session;
  readonly dispatches: number;
  readonly submit: (count: number) => void;
}

async function openCells(gpu: Gpu, workload: Workload, cells: readonly Cell[]): Promise<Step> {
  const { config, batch, length: T, precision } = workload;
  const model = buildModel(config, { classes: 2, head: false });
  const methods = cells.map(({ options }) => ({ method: lora, options: lora.parse(options) }));
  const attached = cells.length === 1
    ? [attachMethod(model, lora, methods[0].options)]
    : attachPack(model, methods, SHARE);
  const task = makeTask(model, 0, LABEL_WORDS);
  const { updates, backward } = packGraphs(
    {
      cells: cells.map(({ learningRate }, i) => (
        { attached: attached[i], settings: trainSettings({ learningRate }) }
      )),
      ...{ task, precision },
    },
    1000,
    false,
  );
  const full = attached.flatMap((one) => fullPrecisionNames(one));
  const session = new Session(gpu, storagePolicy(precision, full));
  try {
    const { roots } = cells.length === 1 ? { roots: backward! } : shareRows(
      { roots: backward!, keep: [] },
      {
        inputs: EXAMPLE_INPUTS,
        trained: new Set(
          attached.flatMap(({ trainable }) =>
            trainable.map(({ node }) => variableAttributes(node).name)
          ),
        ),
        shares: { of: cells.length, count: SHARE },
      },
    );
    const training = session.program(roots, packSizes(cells.length, batch, T));
    const updating = session.program(updates.flatMap((update) => update!.roots), {});
    await session.build();
    const base = randomWeights(model.scope.select(), 0);
    for (const [name, values] of base) session.upload(name, values);
    for (const parameter of attached.flatMap(({ delta }) => delta.select())) {
      session.upload(
        variableAttributes(parameter.node).name,
        initialValues(parameter, 0, base),
      );
    }
    for (const [name, values] of updates.flatMap((update) => [...update!.initial])) {
      session.upload(name, values);
    }
    const examples = batchOf(workload);
    const rows = { examples, indices: examples.map((_, i) => i), size: batch, length: T };
    const inputs = tileRows(training, task.trainingInputs(rows), cells.length);
    return {
      session,
      dispatches: training.dispatches + updating.dispatches,
      submit: (count) => {
        for (let i = 0; i < count; i++) {
          session.write(training, inputs);
          session.run([training, updating]);
        }
      },
    };
  } catch (error) {
    session.destroy();
    throw error;
  }
}
