import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson } from "../formats/digest.ts";
import { wilson } from "../stats/wilson.ts";
import type { Cell } from "./cell.ts";
import { type Choice, choiceNotes, chooseSettings } from "./choose_settings.ts";
import { compareRows, comparisonNotes, type Standing } from "./compare_rows.ts";
import { settingFlags, settingText } from "./setting_text.ts";
import { type Quantity, quantity } from "./quantity.ts";
import type { FindPublished, PublishedRow } from "./published.ts";
import type { Run } from "./run_folder.ts";
import { tableNotes } from "./table_notes.ts";
import { tableCsv, tableMarkdown, tableText } from "./table_format.ts";
import { type Stopped, stoppedNotes, stoppedText } from "./stopped.ts";
import { type AnsweredRun, readAnsweredRun } from "./wrong_answers.ts";

/** A run beside the published row of its method, where there is one. */
export interface PublishedRun extends AnsweredRun {
  /** Null or absent where nothing is published of it. */
  readonly published?: PublishedRow | null;
}

/** Name of a quantity: shares from 0 to 1, counts, bytes, or what the name says. */
export type QuantityName =
  | "maxAccuracy"
  | "lastAccuracy"
  | "published"
  | "precision"
  | "recall"
  | "f1"
  | "macroF1"
  | "weightedF1"
  | "loss"
  | "testAccuracy"
  | "testPrecision"
  | "testRecall"
  | "testF1"
  | "testLoss"
  | "trainAccuracy"
  | "trainF1"
  | "trainLoss"
  | "totalParameters"
  | "trainableParameters"
  | "publishedTrainable"
  | "trainablePercent"
  | "msPerStep"
  | "examplesPerSecond"
  | "peakBytes"
  | "seconds"
  | "verified";

/** The quantities of a table, in its order of columns. */
const quantities: Readonly<
  Record<QuantityName, (run: PublishedRun) => number | null | undefined>
> = {
  maxAccuracy: ({ result }: Run) => result?.best.accuracy,
  lastAccuracy: ({ result }: Run) => result?.last.accuracy,
  published: ({ published }: PublishedRun) => published && published.accuracy / 100,
  precision: ({ result }: Run) => result?.kept.precision,
  recall: ({ result }: Run) => result?.kept.recall,
  f1: ({ result }: Run) => result?.kept.f1,
  macroF1: ({ result }: Run) => result?.kept.macro.f1,
  weightedF1: ({ result }: Run) => result?.kept.weighted.f1,
  loss: ({ result }: Run) => result?.kept.evalLoss,
  testAccuracy: ({ result }: Run) => result?.splits.test?.accuracy,
  testPrecision: ({ result }: Run) => result?.splits.test?.precision,
  testRecall: ({ result }: Run) => result?.splits.test?.recall,
  testF1: ({ result }: Run) => result?.splits.test?.f1,
  testLoss: ({ result }: Run) => result?.splits.test?.loss,
  trainAccuracy: ({ result }: Run) => result?.splits.train?.accuracy,
  trainF1: ({ result }: Run) => result?.splits.train?.f1,
  trainLoss: ({ result }: Run) => result?.splits.train?.loss,
  totalParameters: ({ result }: Run) => result?.parameters.total,
  trainableParameters: ({ result }: Run) => result?.parameters.trainable,
  publishedTrainable: ({ published }: PublishedRun) => published?.trainable,
  trainablePercent: ({ result }: Run) =>
    result ? (100 * result.parameters.trainable) / result.parameters.total : undefined,
  msPerStep: ({ times }: Run) => times?.msPerStep,
  examplesPerSecond: ({ times }: Run) => times?.examplesPerSecond,
  peakBytes: ({ result }: Run) => result?.planned.peakBytes,
  seconds: ({ times }: Run) => times?.seconds,
  verified: ({ verified }: Run) =>
    verified && { identical: 1, "within tolerance": 0.5, different: 0 }[verified],
};

/**
 * One approach over its seeds, or one run without a result; how it was chosen among the settings of
 * its method, and where it stands beside the best row.
 */
export interface TableRow extends Choice, Standing {
  /** The method's name, with what tells it from others of that name. */
  approach: string;
  /** The method's name in the registry. */
  method: string;
  /** Seeds of the runs, in order. */
  seeds: number[];
  /** Ids of the runs it was made from. */
  runs: string[];
  /** Null where no run has it. */
  values: Record<QuantityName, Quantity | null>;
  /** Why the run has no result; null for a row of results. */
  error: string | null;
  /** For a setting that halving has stopped: where, and how it fared; absent for all else. */
  stopped?: Stopped;
}

/** A comparison table. */
export interface Table {
  /** In the order asked for. */
  rows: TableRow[];
  /** What a reader must know to read the figures right. */
  notes: string[];
}

/** What makes a table besides its runs. */
export interface TableOptions {
  /** Flags of settings and names of options that are chosen per method: see {@linkcode chooseSettings}. */
  readonly choose?: readonly string[];
}

/**
 * The table of some runs, in their order. Runs that differ in nothing but the seed share a row;
 * every run without a result has a row of its own, after its group's, but those that halving has
 * stopped share one. Rows that were not chosen stay in it, and are shown by the CSV alone.
 */
export function buildTable(
  runs: readonly PublishedRun[],
  { choose = [] }: TableOptions = {},
): Table {
  const groups = new Map<string, PublishedRun[]>();
  for (const run of runs) {
    const { seed: _, ...rest } = run.cell;
    const key = digestJson({ approach: run.approach, ...rest });
    groups.set(key, [...groups.get(key) ?? [], run]);
  }
  const all = [...groups.values()];
  const names = distinctNames(all.map(([first]) => first));
  const choices = chooseSettings(all, choose);
  const done = all.map((group) => group.filter(({ result }) => result !== null));
  const standings = compareRows(done.map((group, index) => choices[index].chosen ? group : []));
  const rows = all.flatMap((group, index) => {
    const dropped = group.filter((run) => run.error === null && run.stopped?.dropped);
    const others = group.filter((run) => run.result === null && !dropped.includes(run));
    const row = { approach: names[index], ...choices[index] };
    return [
      ...(done[index].length > 0
        ? [{ ...row, ...standings[index], ...rowOf(done[index]), error: null }]
        : []),
      ...others.map((run) => ({
        ...row,
        chosen: true, // a failure stays visible
        best: false,
        comparison: null,
        ...rowOf([run]),
        error: run.error ?? "not finished",
      })),
      ...(dropped.length > 0
        ? [{
          ...row,
          chosen: false,
          best: false,
          comparison: null,
          ...rowOf(dropped),
          error: stoppedText(dropped[0].stopped!),
          stopped: dropped[0].stopped!,
        }]
        : []),
    ];
  });
  const shown = rows.filter(({ chosen }) => chosen);
  const tested = shown.every(({ values, error }) => error !== null || values.testAccuracy !== null);
  return {
    rows,
    notes: [
      ...tableNotes(runs, shown),
      ...comparisonNotes(shown),
      ...choiceNotes(rows, choose, tested),
      ...stoppedNotes(rows),
    ],
  };
}

function rowOf(
  runs: readonly PublishedRun[],
): Pick<TableRow, "method" | "seeds" | "runs" | "values"> {
  const values = Object.entries(quantities).map(([name, read]) => {
    const having = runs.filter((run) => (read(run) ?? null) !== null);
    const found = having.map((run) => read(run)!);
    if (found.length === 0) return [name, null];
    const one = quantity(found);
    const measured = accuracyExamples[name as QuantityName];
    return [name, measured === undefined ? one : accuracyQuantity(one, having.map(measured))];
  });
  return {
    method: runs[0].cell.method.name,
    seeds: runs.map(({ cell }) => cell.seed),
    runs: runs.map(({ id }) => id),
    values: Object.fromEntries(values),
  };
}

/** Examples that an accuracy is measured on, where none of them chose what is measured. */
const accuracyExamples: { [K in QuantityName]?: (run: Run) => number } = {
  lastAccuracy: ({ result }) => result!.examples,
  testAccuracy: ({ result }) => result!.splits.test.examples,
  trainAccuracy: ({ result }) => result!.splits.train.examples,
};

/**
 * An accuracy's interval: Wilson's for one run, or where the seed changes nothing, so that runs are
 * one; Student's for several, never below 0 or above 1.
 */
function accuracyQuantity(one: Quantity, [examples]: readonly number[]): Quantity {
  // Equal accuracies may differ from their mean by rounding; others differ by an example at least.
  if (one.sd === null || one.sd < 1e-12) {
    return { ...one, ...wilson(Math.round(one.mean * examples), examples) };
  }
  return { ...one, lower: Math.max(0, one.lower!), upper: Math.min(1, one.upper!) };
}

/** Where several rows would share a name, it is followed by what tells them apart. */
function distinctNames(runs: readonly Run[]): string[] {
  return runs.map(({ approach, cell }) => {
    const same = runs.filter((run) => run.approach === approach);
    const own = facts(cell);
    const telling = Object.keys(own).filter((key) =>
      same.some((run) => facts(run.cell)[key] !== own[key])
    );
    return [approach, ...telling.map((key) => `${key} ${own[key]}`)].join(", ");
  });
}

function facts(
  { base, data, task, method, settings, precision, start, evalBackend }: Cell,
): Record<string, string> {
  const shown = Object.entries(settingFlags).map(([flag, key]) => [
    flag,
    settingText(settings[key]),
  ]);
  const options = Object.entries(method.options).map(([key, value]) => [key, String(value)]);
  return {
    ...Object.fromEntries([...options, ...shown]),
    base: base.name,
    data: data.name,
    examples: String(data.trainSize ?? "all"),
    prefix: JSON.stringify(task.prefix),
    task: task.head ? "classification" : "text-to-text",
    precision,
    start: start?.name ?? "none",
    "eval-backend": evalBackend ?? "webgpu",
  };
}

/**
 * Builds the table of some runs from their folders and writes `table.csv` and `table.md`.
 *
 * @param out Folder of the runs, receives the tables
 * @param ids The runs' ids, in the order of the table
 * @param published Finds what is published of a method, and notes on it
 * @param options What is chosen per method
 * @returns The table for a terminal
 * @throws {Error} When a run's files cannot be read, or a table cannot be written
 */
export async function writeTable(
  out: string,
  ids: readonly string[],
  published?: { readonly find: FindPublished; readonly notes: readonly string[] },
  options: TableOptions = {},
): Promise<string> {
  const read = await Promise.all(ids.map((id) => readAnsweredRun(`${out}/${id}`)));
  const runs = read.filter((run) => run !== null)
    .map((run) => ({ ...run, published: published?.find(run.cell.method) }));
  const { rows, notes } = buildTable(runs, options);
  const table = { rows, notes: [...notes, ...published?.notes ?? []] };
  await writeFileAtomic(`${out}/table.csv`, tableCsv(table));
  await writeFileAtomic(`${out}/table.md`, tableMarkdown(table));
  return tableText(table);
}
