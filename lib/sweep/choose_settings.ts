import { digestJson } from "../formats/digest.ts";
import type { Cell } from "./cell.ts";
import type { Run } from "./run_folder.ts";
import { settingFlags } from "./setting_text.ts";

/** How one setting of a method fared beside the others that the method was given. */
export interface Choice {
  /** Settings that the method was given, this one included. */
  readonly tried: number;
  /** Whether it has the best mean validation metric of them. */
  readonly chosen: boolean;
}

/**
 * Chooses for each method among the settings that it was given: the one with the best mean, over
 * its seeds, of the validation metric that its cells follow (`--metric`), measured with the
 * weights that are kept. One with fewer finished seeds than another is passed over, and of equals
 * the first stays. Test examples take no part.
 *
 * @param groups Runs that differ in nothing but the seed, one group for each setting.
 * @param names Flags of training settings and names of method options that are chosen; groups that
 *   differ in nothing else are settings of one method.
 * @returns One for each group; all are chosen where no run of a method has a result.
 */
export function chooseSettings(
  groups: readonly (readonly Run[])[],
  names: readonly string[],
): Choice[] {
  const keys = groups.map(([{ cell }]) => familyKey(cell, names));
  const families = Map.groupBy(groups.keys(), (index) => keys[index]);
  const best = new Map([...families].map(([key, indexes]) => [key, bestOf(groups, indexes)]));
  return groups.map((_, index) => {
    const chosen = best.get(keys[index]);
    return {
      tried: families.get(keys[index])!.length,
      chosen: chosen === null || chosen === index,
    };
  });
}

/** Tells methods apart: by everything of a cell but its seed and what is chosen. */
export function familyKey(cell: Cell, names: readonly string[]): string {
  const { seed: _, settings, method, ...rest } = cell;
  const flags = names.map((name) => settingFlags[name]);
  const without = (values: object, taken: readonly string[]): object =>
    Object.fromEntries(Object.entries(values).filter(([key]) => !taken.includes(key)));
  return digestJson({
    ...rest,
    settings: without(settings, flags),
    method: { name: method.name, options: without(method.options, names) },
  });
}

function bestOf(groups: readonly (readonly Run[])[], indexes: readonly number[]): number | null {
  let best: { index: number; count: number; mean: number } | null = null;
  for (const index of indexes) {
    const values = groups[index].flatMap((run) => validationMetric(run) ?? []);
    if (values.length === 0) continue;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const now = { index, count: values.length, mean };
    const better = best === null || now.count > best.count ||
      (now.count === best.count && now.mean > best.mean);
    if (better) best = now;
  }
  return best && best.index;
}

/** Higher is better. */
function validationMetric({ cell, result }: Run): number | null {
  if (result === null) return null;
  const { accuracy, f1, evalLoss } = result.kept;
  return { accuracy, f1, loss: -evalLoss }[cell.settings.metric];
}

/** A row of a table with how it was chosen. */
interface ChosenRow extends Choice {
  readonly approach: string;
  readonly method: string;
  readonly error: string | null;
}

/** What a reader must know of settings that were chosen. */
export function choiceNotes(
  rows: readonly ChosenRow[],
  names: readonly string[],
  tested: boolean,
): string[] {
  const shown = rows.filter(({ chosen, error }) => chosen && error === null);
  if (shown.every(({ tried }) => tried === 1)) return [];
  const given = shown.filter(({ method }) => method !== "zero_shot");
  const counts = [...new Set(given.map(({ tried }) => tried))];
  const budget = counts.length === 1
    ? `Each method was given ${counts[0]} settings (${names.join(", ")})`
    : `Methods were given different numbers of settings (${
      names.join(", ")
    }), which favours those ` +
      `given more: ${given.map(({ approach, tried }) => `${approach}: ${tried}`).join("; ")}`;
  const bias = tested
    ? "validation chooses, and the test columns report"
    : "validation figures are biased upwards by that choice, and no test split is there to report";
  return [
    `${budget}; each row is the one with the best mean validation metric over the seeds: ${bias}. ` +
    `table.csv has all settings, and --choose none shows them.`,
  ];
}
