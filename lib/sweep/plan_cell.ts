/**
 * What a cell would cost, from its configuration alone.
 *
 * @module
 */

import { bucketOf } from "../data/batches.ts";
import { MemoryPlanner } from "../graph/memory.ts";
import type { Node } from "../graph/node.ts";
import { operationsOf } from "../graph/operations.ts";
import { plan } from "../graph/plan.ts";
import { storagePolicy } from "../graph/precision.ts";
import type { Sizes } from "../graph/shape.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel } from "../models/index.ts";
import { methods } from "../peft/index.ts";
import { attachMethod, fullPrecisionNames } from "../peft/method.ts";
import type { Execution } from "../train/execution.ts";
import { runGraphs } from "../train/graphs.ts";
import {
  KEPT_HOST_BYTES,
  KEPT_WAYS,
  keptLimit,
  keptParts,
  type KeptWay,
} from "../train/kept_features.ts";
import { longestText } from "../train/longest_text.ts";
import { STEPS_PER_SUBMIT } from "../train/steps_per_submit.ts";
import { makeTask } from "../train/task.ts";
import type { Cell } from "./cell.ts";
import { plannedBytes } from "./planned_bytes.ts";
import type { CellResult, PlannedBytes } from "./run_cell.ts";

/** What is known of the data without its texts. */
export interface DataSize {
  readonly name: string;
  readonly labels: readonly string[];
  readonly train: number;
  readonly validation: number;
}

/** What a cell would take. */
export interface CellPlan {
  readonly parameters: CellResult["parameters"];
  readonly planned: PlannedBytes;
  /** Examples on the device at once, and the longest bucket. */
  readonly rows: number;
  readonly length: number;
  readonly steps: number;
  /** Floating-point operations of one optimizer step, at the full length. */
  readonly stepOperations: number;
  /** Of the whole run with its evaluations, were every text of full length. */
  readonly operations: number;
  readonly recomputed: boolean;
}

/**
 * Plans one cell, every text of full length.
 *
 * Label words are taken to be one token each.
 */
export function planCell(
  config: RawConfig,
  { train, validation }: DataSize,
  { method: { name, options }, settings, data: { trainSize }, task, precision }: Cell,
  { recompute, memory, keepFeatures }: Execution,
): CellPlan {
  const method = methods[name];
  const model = buildModel(config, {
    classes: task.labels.length,
    head: method.needsHead || task.head,
  });
  const attached = attachMethod(model, method, options);
  const words = model.textToText === undefined
    ? null
    : { words: task.labels, ids: task.labels.map((_, i) => [i]) };
  const scored = makeTask(model, 0, words);
  const { batchSize } = settings;
  const rows = settings.microBatch ?? batchSize;
  const longest = longestText(model, attached);
  const length = bucketOf(Math.min(settings.maxLength, longest), longest);
  const epochs = attached.trainable.length === 0 ? 0 : settings.epochs;
  const steps = Math.ceil((trainSize ?? train) / batchSize) * epochs;

  const policy = storagePolicy(precision, fullPrecisionNames(attached));
  const trained = new Set(attached.trainable.map(({ name }) => name));
  const planned = (recomputed: boolean, way: KeptWay) => {
    let keptBytes = 0;
    const parts = { attached, task: scored, settings, precision };
    const { backward, update, scores } = runGraphs(parts, steps, recomputed);
    const planner = new MemoryPlanner();
    const operations = (
      roots: readonly Node[],
      sizes: Sizes,
      keep: readonly Node[] = [],
      own = policy,
    ) => {
      const program = plan(roots, sizes, keep, own);
      planner.add(program, sizes);
      return operationsOf(program.order, sizes);
    };
    const sizes = { B: rows, T: length };
    /** Operations of one batch, and once of what is kept of a split. */
    const split = (name: string, size: number, roots: readonly Node[], keep: readonly Node[]) => {
      const padded = size % rows > 0 || (roots === backward && batchSize % rows > 0);
      const parts = epochs < 2 || way.price === Infinity ? null : keptParts(
        { roots, keep, sizes, policy, trained, ...way, name, rows: size + (padded ? 1 : 0) },
      );
      if (parts === null) return { batch: operations(roots, sizes, keep), once: 0 };
      keptBytes += parts.bytes;
      const kept = [...parts.tables.keys()];
      const features = operations(kept, parts.sizes, kept, parts.policy);
      return {
        batch: operations(parts.roots, sizes, parts.keep, parts.policy),
        once: Math.ceil(size / parts.sizes.B) * features,
      };
    };
    const training = backward === null
      ? { batch: 0, once: 0 }
      : split("train", trainSize ?? train, backward, []);
    const updating = update === null ? 0 : operations(update.roots, {});
    const scoring = split("validation", validation, [scores], [scores]);
    const stepOperations = training.batch * Math.ceil(batchSize / rows) + updating;
    const evaluations = Math.max(epochs, 1) * Math.ceil(validation / rows);
    return {
      memory: planner.memory(0, STEPS_PER_SUBMIT),
      stepOperations,
      operations: steps * stepOperations + evaluations * scoring.batch + training.once +
        scoring.once,
      recomputed: recomputed && steps > 0,
      keptBytes,
    };
  };
  const fits = ({ memory: { total }, keptBytes }: ReturnType<typeof planned>, way: KeptWay) =>
    (memory === null || total <= memory) &&
    keptBytes <= (way.host ? KEPT_HOST_BYTES : keptLimit(memory));
  const nothing: KeptWay = { price: Infinity };
  let chosen: ReturnType<typeof planned>;
  let fitting = false;
  for (const way of keepFeatures === "never" ? [nothing] : KEPT_WAYS) {
    chosen = planned(recompute === "always", way);
    fitting = fits(chosen, way);
    if (fitting || chosen.keptBytes === 0) break;
  }
  if (recompute === "auto" && steps > 0 && !fitting) chosen = planned(true, nothing);
  const { memory: bytes, keptBytes: _, ...rest } = chosen!;
  return {
    ...rest,
    parameters: attached.counts,
    planned: plannedBytes(bytes, attached.counts),
    rows,
    length,
    steps,
  };
}
