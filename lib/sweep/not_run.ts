import { duration } from "./progress.ts";
import type { SweepRecord } from "./sweep_record.ts";

/**
 * Which cells the latest sweep's budget did not reach, in words for below a table; nothing where there
 * is no budget, or no such cell.
 *
 * @param begun Ids of the cells that have a folder.
 */
export function notRunNotes(
  { cells, budget = null }: Pick<SweepRecord, "cells" | "budget">,
  begun: ReadonlySet<string>,
): string[] {
  const left = cells.filter(({ id }) => !begun.has(id));
  if (budget === null || left.length === 0) return [];
  const counts = [...Map.groupBy(left, ({ approach }) => approach)]
    .map(([approach, own]) => `${approach}: ${own.length}`);
  return [
    `Not run, as the budget of ${duration(budget)} was over: ${left.length} of ${cells.length} ` +
    `cells (${counts.join("; ")}).`,
  ];
}
