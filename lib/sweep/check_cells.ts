import type { Dataset } from "../data/dataset.ts";
import { sampleStratified } from "../data/stratify.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import { classWeights } from "../train/class_weights.ts";
import { longestText } from "../train/longest_text.ts";
import { type LabelWords, makeTask } from "../train/task.ts";
import type { Base } from "./base.ts";
import type { Cell } from "./cell.ts";
import type { Experiment } from "./experiment.ts";

/**
 * Refuses a task that a base cannot do.
 *
 * @param capable Whether the base can answer in words.
 * @throws RangeError where it cannot, and is asked to.
 */
export function checkTask(task: Experiment["task"], capable: boolean, base: string): void {
  if (task !== "text-to-text" || capable) return;
  throw new RangeError(
    `Cannot use task text-to-text with base ${base}: it classifies by a head alone; leave ` +
      `--task out`,
  );
}

/**
 * Refuses a sweep of which a cell cannot run on this base and data, before any of them does; what
 * only the device tells, that a plan is too large for it, is left to the cell.
 *
 * @throws TypeError or RangeError of the first cell that does not fit.
 */
export function checkCells(
  cells: readonly Cell[],
  base: Base,
  data: Dataset,
  labelWords: LabelWords | null,
): void {
  const kinds = Map.groupBy(cells, ({ method, settings }) => JSON.stringify([method, settings]));
  for (const [cell] of kinds.values()) checkCell(cell, base, data, labelWords);
}

function checkCell(
  { method: { name, options }, settings, data: { trainSize }, task, seed }: Cell,
  base: Base,
  { labels, train }: Dataset,
  labelWords: LabelWords | null,
): void {
  const method = methods[name];
  const head = method.needsHead || task.head;
  base.check(labels.length, head);
  const model = base.build(labels.length, head);
  const attached = attachMethod(model, method, options);
  makeTask(model, base.tokenizer.padId, model.textToText ? labelWords : null).scores();
  const maxLength = Math.min(settings.maxLength, longestText(model, attached));
  // Any text shows whether there is room beside the special tokens.
  base.tokenizer.encode(task.prefix + train[0].text, maxLength);
  classWeights(settings.classWeights, labels, []);
  if (trainSize !== null) sampleStratified(train, trainSize, seed);
}
