import { digestJson } from "../formats/digest.ts";
import { bootstrapDifferences } from "../stats/bootstrap.ts";
import { holm } from "../stats/holm.ts";
import { mcnemar } from "../stats/mcnemar.ts";
import type { AnsweredRun } from "./wrong_answers.ts";

/** What a row's accuracy is against that of the best row. */
export interface Comparison {
  /** Whose examples are compared. */
  readonly split: "test" | "validation";
  /** Bootstrap over seeds and examples, or McNemar's exact test of two single runs. */
  readonly test: "bootstrap" | "mcnemar";
  /** Seeds that both have, which are those compared. */
  readonly seeds: readonly number[];
  /** Best row's mean accuracy minus this row's, from 0 to 1. */
  readonly behind: number;
  /** Lower end of its 95 % interval; null for McNemar's test, which gives none. */
  readonly lower: number | null;
  /** Upper end. */
  readonly upper: number | null;
  /** Two-sided p-value of both being equally accurate. */
  readonly p: number;
  /** After Holm's correction for all comparisons with that best row. */
  readonly adjusted: number;
}

/** Where a row stands. */
export interface Standing {
  /** Whether it is the one that the others are compared with. */
  readonly best: boolean;
  /** Null for the best itself, and where nothing can be compared. */
  readonly comparison: Comparison | null;
}

/** Level at which rows are told apart. */
export const LEVEL = 0.05;

/** Whether a row cannot be told apart from the best. */
export function isTied({ comparison }: Standing): boolean {
  return comparison !== null && comparison.adjusted > LEVEL;
}

/**
 * Compares rows with the most accurate of those on the same examples: on the test split where all
 * runs measured it, else on the validation split, with the weights that are kept. Rows that share
 * two seeds or more with the best are compared by {@linkcode bootstrapDifferences}, those
 * that share one by {@linkcode mcnemar}; their p-values are corrected by {@linkcode holm}.
 *
 * @param rows Finished runs of each row.
 * @returns One for each row.
 */
export function compareRows(rows: readonly (readonly AnsweredRun[])[]): Standing[] {
  const standings: Standing[] = rows.map(() => ({ best: false, comparison: null }));
  const answered = [...rows.keys()].filter((index) =>
    rows[index].length > 0 && rows[index].every(({ wrong }) => wrong !== undefined)
  );
  // Only the same examples, with the same labels, make accuracies comparable.
  const groups = Map.groupBy(answered, (index) => dataKey(rows[index][0]));
  for (const indexes of groups.values()) {
    if (indexes.length < 2) continue;
    const all = indexes.flatMap((index) => rows[index]);
    const split = all.every(({ wrong }) => "test" in wrong!) ? "test" : "validation";
    const accuracy = (index: number): number => {
      const shares = rows[index].map((run) => run.wrong![split].length / examplesOf(run, split));
      return 1 - shares.reduce((sum, share) => sum + share, 0) / shares.length;
    };
    const best = indexes.reduce((most, index) => accuracy(index) > accuracy(most) ? index : most);
    const others = indexes.filter((index) => index !== best);
    const found = compareWith(rows[best], others.map((index) => rows[index]), split);
    standings[best] = { best: true, comparison: null };
    others.forEach((index, i) => standings[index] = { best: false, comparison: found[i] });
  }
  return standings;
}

function dataKey({ cell: { data, task } }: AnsweredRun): string {
  const { digest, splits, dedupe } = data;
  return digestJson({ digest, splits, dedupe, labels: task.labels });
}

function examplesOf({ result }: AnsweredRun, split: string): number {
  return result!.splits[split]?.examples ?? result!.examples;
}

type Uncorrected = Omit<Comparison, "adjusted">;

function compareWith(
  best: readonly AnsweredRun[],
  others: readonly (readonly AnsweredRun[])[],
  split: "test" | "validation",
): (Comparison | null)[] {
  const examples = examplesOf(best[0], split);
  const all = [best, ...others].flat().flatMap(({ wrong }) => wrong![split]);
  const places = new Map([...new Set(all)].map((id, i) => [id, i]));
  const right = (run: AnsweredRun): Uint8Array => {
    const row = new Uint8Array(examples).fill(1);
    for (const id of run.wrong![split]) row[places.get(id)!] = 0;
    return row;
  };
  const shared = others.map((runs) => {
    const own = new Set(runs.map(({ cell }) => cell.seed));
    return best.map(({ cell }) => cell.seed).filter((seed) => own.has(seed));
  });
  const table = (runs: readonly AnsweredRun[], seeds: readonly number[]): Uint8Array[] =>
    seeds.map((seed) => right(runs.find(({ cell }) => cell.seed === seed)!));
  const found: (Uncorrected | null)[] = others.map(() => null);
  // The least p that replicates can give must stay below the level when corrected for all rows.
  const many = others.length > 50;
  const options = many ? { replicates: Math.max(10_000, 25 * others.length) } : {};
  // Rows with the same seeds are compared on the same draws.
  for (const indexes of Map.groupBy(others.keys(), (i) => shared[i].join()).values()) {
    const seeds = shared[indexes[0]];
    if (seeds.length === 0) continue;
    const first = table(best, seeds);
    const tables = indexes.map((i) => table(others[i], seeds));
    if (seeds.length === 1) {
      indexes.forEach((i, k) => found[i] = { split, seeds, ...exact(first[0], tables[k][0]) });
      continue;
    }
    bootstrapDifferences(first, tables, options).forEach(({ difference, lower, upper, p }, k) => {
      found[indexes[k]] = { split, test: "bootstrap", seeds, behind: difference, lower, upper, p };
    });
  }
  const corrected = holm(found.flatMap((one) => one?.p ?? []));
  return found.map((one) => one && { ...one, adjusted: corrected.shift()! });
}

function exact(
  first: Uint8Array,
  second: Uint8Array,
): Pick<Uncorrected, "test" | "behind" | "lower" | "upper" | "p"> {
  let [b, c] = [0, 0];
  for (let i = 0; i < first.length; i++) {
    if (first[i] > second[i]) b++;
    else if (first[i] < second[i]) c++;
  }
  const behind = (b - c) / first.length;
  return { test: "mcnemar", behind, lower: null, upper: null, p: mcnemar(b, c) };
}

/** What a reader must know of the marks. */
export function comparisonNotes(standings: readonly Standing[]): string[] {
  const found = standings.flatMap(({ comparison }) => comparison ?? []);
  if (found.length === 0) return [];
  const names = {
    bootstrap: "a bootstrap that draws seeds and examples together",
    mcnemar: "McNemar's exact test of single runs",
  };
  const tests = [...new Set(found.map(({ test }) => names[test]))];
  const splits = [...new Set(found.map(({ split }) => split))];
  return [
    `≈ marks what cannot be told apart from the best row (p above ${LEVEL}); p is two-sided, of ` +
    `${tests.join(" or ")} on the ${splits.join(" or ")} predictions of the kept weights, with ` +
    `Holm's correction for ${found.length} comparison${found.length === 1 ? "" : "s"}.`,
  ];
}
