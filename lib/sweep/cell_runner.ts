/**
 * From an experiment to cells that run: opens base and data once, trains each cell on one device.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { EMBEDDED_PROMPT } from "../data/corpus/embedded_vocabulary.ts";
import type { Dataset } from "../data/dataset.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson } from "../formats/digest.ts";
import { encodeSafetensors } from "../formats/safetensors.ts";
import { checkPrecision } from "../gpu/adapter.ts";
import { openGpu } from "../gpu/device.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Precision } from "../graph/precision.ts";
import { loadOnnxRuntime } from "../infer/onnx_runtime.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import type { CheckpointIdentity } from "../train/checkpoint.ts";
import { numericsFingerprint } from "../train/fingerprint.ts";
import type { Execution } from "../train/execution.ts";
import { KernelCache } from "../train/kernel_cache.ts";
import { openTuner } from "../train/open_tuner.ts";
import type { LabelWords } from "../train/task.ts";
import { type Base, EMBEDDED, openBase } from "./base.ts";
import { type Cell, cellId } from "./cell.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import { checkCells, checkTask } from "./check_cells.ts";
import { type CellContext, expandGrid } from "./grid.ts";
import { resolveLabelWords } from "./label_words.ts";
import { mostCells, type PackedTraining, programKey, trainCells } from "./packs.ts";
import { sourceDigest } from "./provenance.ts";
import type { AdapterRecord, CellResult, PreparedSweep, RunHooks, RunPack } from "./run_cell.ts";
import { openStart, type StartDelta, startedWeights } from "./start_delta.ts";
import { type Places, writePlaces } from "./tuned.ts";
import { dataNotes, describeData, openData } from "./sweep_data.ts";
import {
  Encoder,
  type Shared,
  trainCell,
  type TrainedCell,
  type TrainHooks,
} from "./train_cell.ts";

/** What T5 was taught to expect before a sentence of SST-2 (Raffel et al., 2020, appendix D). */
const T5_PREFIX = "sst2 sentence: ";

/**
 * Opens what an experiment names, and resolves its cells.
 *
 * @throws Error, TypeError or RangeError saying what of base, data or experiment does not fit; then
 *   nothing has run and nothing is left on the device.
 */
export async function prepareSweep(experiment: ResolvedExperiment): Promise<PreparedSweep> {
  const base = await openBase(experiment.base);
  const { train, trainCells, ...prepared } = await prepareCells(
    experiment,
    base,
    await openData(experiment),
  );
  const { data, start } = experiment;
  const open = (cell: Cell, hooks: RunHooks) =>
    openCell(cell, hooks, prepared.adapter, { base: base.place, data, ...start && { start } });
  const most = mostCells(experiment, prepared.software);
  const run: RunPack["run"] = (cells) => {
    const ends = cells.map(async ({ cell, hooks }) => ({ cell, ...await open(cell, hooks) }));
    const trained = Promise.allSettled(ends).then((all) => {
      const opened = all.filter((one) => one.status === "fulfilled").map(({ value }) => value);
      const own = trainCells(opened);
      return new Map(opened.map(({ cell }, i) => [cell, own[i]]));
    });
    return ends.map(async (end) => {
      const { cell, finish } = await end;
      return await finish(await (await trained).get(cell)!);
    });
  };
  return {
    ...prepared,
    runCell: async (cell, hooks) => {
      const { hooks: own, finish } = await open(cell, hooks);
      return await finish(await train(cell, own));
    },
    ...most > 1 && { runPack: { most, key: programKey, run } },
  };
}

/** A cell whose folder is looked at: where its training goes on from, and what is done after it. */
interface OpenedCell {
  readonly hooks: TrainHooks;
  /** Writes what it leaves. */
  finish(trained: TrainedCell): Promise<CellResult>;
}

async function openCell(
  cell: Cell,
  hooks: RunHooks,
  adapter: AdapterRecord,
  places: Places,
): Promise<OpenedCell> {
  const { folder, onNote = () => {}, check = async () => {} } = hooks;
  const checkpoints = new Checkpoints(folder, checkpointIdentity(cell, adapter));
  const resume = await checkpoints.latest(onNote);
  if (resume !== null) onNote(`Going on from step ${resume.step} of ${cellId(cell)}`);
  return {
    hooks: {
      ...hooks,
      resume,
      onCheckpoint: async (checkpoint) => {
        await check();
        await checkpoints.save(checkpoint);
      },
    },
    finish: async (trained) => {
      await check();
      await writeTrained(folder, trained, places);
      return trained.result;
    },
  };
}

/** An experiment with its base and data opened: its cells, and what trains them. */
export interface PreparedCells extends Omit<PreparedSweep, "runCell" | "runPack"> {
  /** Trains one of the cells; nothing is written. */
  readonly train: (cell: Cell, hooks: TrainHooks) => Promise<TrainedCell>;
  /** Trains some of the cells in as few programs as they fit in; nothing is written. */
  readonly trainCells: (cells: readonly PackedTraining[]) => readonly Promise<TrainedCell>[];
  /** Whether they run on the CPU, by an adapter of software. */
  readonly software: boolean;
  /** Has the cells after this run on these kernels, as an earlier run's `run.json` records them. */
  readonly pinKernels: (kernels: Readonly<Record<string, string>>) => void;
  /** The adapter that they run on. */
  readonly adapter: AdapterRecord;
}

/**
 * Resolves the cells of an experiment on a base and data that are open; the experiment's own `base`
 * and `data` give the names.
 *
 * @throws TypeError or RangeError saying what of them does not fit.
 */
export async function prepareCells(
  experiment: ResolvedExperiment,
  base: Base,
  data: Dataset,
): Promise<PreparedCells> {
  const { cells, notes, prefix, labelWords, start } = await resolveCells(experiment, base, data);
  // Where it is not to be had, nothing is trained.
  if (experiment.evalBackend === "ort") await loadOnnxRuntime();
  const gpu = await openFor(experiment.precision);
  const { probe } = await numericsFingerprint(gpu);
  const encoder = new Encoder(base, prefix);
  const limitsDigest = digestJson(gpu.adapter.limits).slice(0, 16);
  const tuner = await openTuner(
    gpu,
    new KernelCache({
      ...{ adapter: gpu.adapter.description, deno: Deno.version.deno, probe, limits: limitsDigest },
      ...{ package: config.version, source: sourceDigest() },
    }),
    experiment.tune,
    (note) => notes.push(note),
  );
  const { recompute, memory, checkpoint, keepFeatures } = experiment;
  const execution: Execution = { recompute, memory, checkpoint, keepFeatures };
  const shared: Shared = { gpu, base, data, encoder, labelWords, execution, tuner, start };
  return {
    cells,
    train: (cell, hooks) => trainCell(shared, cell, hooks),
    trainCells: (own) => trainCells(shared, own),
    software: gpu.adapter.software,
    pinKernels: (kernels) => {
      gpu.kernelChoices.clear();
      for (const [key, name] of Object.entries(kernels)) gpu.kernelChoices.set(key, name);
    },
    adapter: {
      name: gpu.adapter.description,
      limitsDigest,
      limits: gpu.limits,
      probe,
    },
    notes,
    close: () => gpu.destroy(),
  };
}

/**
 * The cells of an experiment, and facts about its base and data, without a device to run them.
 *
 * @throws Error, TypeError or RangeError saying what of base, data or experiment does not fit.
 */
export async function planSweep(
  experiment: ResolvedExperiment,
): Promise<Pick<PreparedSweep, "cells" | "notes">> {
  const base = await openBase(experiment.base);
  const { cells, notes } = await resolveCells(experiment, base, await openData(experiment));
  return { cells, notes };
}

/** Cells of an experiment on a base and data that are open, with what they share. */
interface ResolvedCells {
  readonly cells: Cell[];
  readonly notes: string[];
  readonly prefix: string;
  readonly labelWords: LabelWords | null;
  readonly start: StartDelta | null;
}

async function resolveCells(
  experiment: ResolvedExperiment,
  base: Base,
  data: Dataset,
): Promise<ResolvedCells> {
  const { labels } = data;
  const capable = base.build(labels.length, false).textToText !== undefined;
  checkTask(experiment.task, capable, base.name);
  const textToText = capable && experiment.task !== "classification";
  const words = resolveLabelWords(experiment.labelWords, labels);
  const context: CellContext = {
    base: { name: base.name, digest: base.digest },
    tokenizer: { digest: base.tokenizerDigest },
    data: describeData(experiment, data),
    task: {
      head: capable && !textToText,
      prefix: experiment.prefix ?? (capable ? usualPrefix(experiment.base) : ""),
      labelWords: words,
      labels: [...labels],
    },
  };
  const start = experiment.start === null ? null : await openStart(experiment.start);
  if (start !== null) context.start = { name: start.name, digest: start.digest };
  if (experiment.evalBackend === "ort") context.evalBackend = "ort";
  const cells = expandGrid(experiment, context);
  if (start !== null) await checkStart(start, cells, base, labels.length);
  const labelWords = textToText
    ? { words, ids: words.map((word) => base.tokenizer.encodeBare(word)) }
    : null;
  checkCells(cells, base, data, labelWords);
  return {
    cells,
    prefix: context.task.prefix,
    labelWords,
    start,
    notes: [
      `Base ${base.name} (${base.digest.slice(0, 12)}), data ${context.data.name} (${
        data.digest.slice(0, 12)
      }): ${data.train.length} training, ${data.validation.length} validation examples`,
      `Labels: ${
        labels.map((label, i) =>
          textToText && words[i] !== label ? `${label} (${words[i]})` : label
        )
          .join(", ")
      }`,
      ...start === null ? [] : [`Start: ${start.name} (${start.digest.slice(0, 12)})`],
      ...dataNotes(data),
    ],
  };
}

async function openFor(precision: Precision): Promise<Gpu> {
  const gpu = await openGpu();
  try {
    checkPrecision(precision, gpu.adapter);
    return gpu;
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}

function usualPrefix(base: string): string {
  return base === EMBEDDED ? EMBEDDED_PROMPT : T5_PREFIX;
}

/** Refuses a start that does not fit a cell, before any of them runs. */
async function checkStart(
  start: StartDelta,
  cells: readonly Cell[],
  base: Base,
  classes: number,
): Promise<void> {
  const kinds = Map.groupBy(cells, ({ method }) => JSON.stringify(method));
  for (const [{ method, task }] of kinds.values()) {
    const head = methods[method.name].needsHead || task.head;
    const model = base.build(classes, head);
    const encode = (text: string) => base.tokenizer.encodeBare(text);
    const attached = attachMethod({ ...model, encode }, methods[method.name], method.options);
    await startedWeights(start, method, model, attached, await base.weights(classes, head));
  }
}

/**
 * What a run's folder holds of its training: `delta.safetensors`, the weights, and
 * `losses.safetensors`, the loss of every step; nothing where nothing trained.
 */
export function trainedFiles(
  { trained, losses }: Pick<TrainedCell, "trained" | "losses">,
): Map<string, Uint8Array<ArrayBuffer>[]> {
  if (trained.size === 0) return new Map();
  const loss = { shape: [losses.length], data: losses };
  return new Map([
    ["delta.safetensors", encodeSafetensors(trained)],
    ["losses.safetensors", encodeSafetensors(new Map([["loss", loss]]))],
  ]);
}

/** Writes {@linkcode trainedFiles}, and where what the run was made from lies. */
export async function writeTrained(
  folder: string,
  trained: Pick<TrainedCell, "trained" | "losses">,
  places: Places,
): Promise<void> {
  for (const [name, bytes] of trainedFiles(trained)) {
    await writeFileAtomic(`${folder}/${name}`, bytes);
  }
  await writePlaces(folder, places);
}

/** What must be the same for a checkpoint to lead to the same bits. */
function checkpointIdentity(cell: Cell, adapter: AdapterRecord): CheckpointIdentity {
  const { name, limitsDigest, probe } = adapter;
  const { deno, v8 } = Deno.version;
  return { cell: cellId(cell), adapter: name, limits: limitsDigest, probe, deno, v8 };
}
