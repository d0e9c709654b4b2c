import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson } from "../formats/digest.ts";
import { meanInterval } from "../stats/mean_interval.ts";
import { wilson } from "../stats/wilson.ts";
import type { Cell } from "./cell.ts";
import { type Choice, choiceNotes, chooseSettings } from "./choose_settings.ts";
import { compareRows, comparisonNotes, type Standing } from "./compare_rows.ts";
import { settingFlags, settingText } from "./setting_text.ts";
import type { HeadOrigin } from "./run_cell.ts";
import type { FindPublished, PublishedRow } from "./published.ts";
import type { Run } from "./run_folder.ts";
import { tableCsv, tableMarkdown, tableText } from "./table_format.ts";
import { type Stopped, stoppedNotes, stoppedText } from "./stopped.ts";
import { type AnsweredRun, readAnsweredRun } from "./wrong_answers.ts";

/** A quantity over the seeds of a row; sd is the sample standard deviation, null for one seed. */
export interface Quantity {
  /** Arithmetic mean. */
  mean: number;
  /** In the quantity's own unit. */
  sd: number | null;
  /**
   * Lower end of its 95 % interval: Student's t over several seeds; Wilson's for the accuracy of one
   * run, or of seeds that are alike; null where there is none.
   */
  lower: number | null;
  /** Upper end. */
  upper: number | null;
}

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

/** Mean and sample standard deviation (n − 1), with the t interval, where there are several values. */
export function quantity(values: readonly number[]): Quantity {
  if (values.length > 1) return meanInterval(values);
  return { mean: values[0], sd: null, lower: null, upper: null };
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

function tableNotes(runs: readonly Run[], rows: readonly TableRow[]): string[] {
  const done = runs.filter(({ result }) => result !== null);
  if (done.length === 0) return [];
  const best = done.filter(({ cell }) => cell.settings.keep === "best");
  const rest = best.length === 0
    ? "all other metrics are those after the last epoch."
    : "last-epoch accuracy is not.";
  const notes = [
    "Max. accuracy is that of the best epoch, chosen on the very examples it is measured on, and " +
    `so biased upwards; ${rest}`,
    ...keepNote(best, done),
    ...splitNotes(done),
    ...evaluationNotes(done),
    ...headNotes(done),
    ...scaleNotes(done),
    ...methodNotes(done),
    ...startNotes(done),
    ...timeNotes(done),
  ];
  const early = done.filter(({ result }) => result!.stoppedEarly);
  if (early.length > 0) {
    notes.push(`Patience ended ${early.length} of ${done.length} runs before their last epoch.`);
  }
  const labels = [...new Set(done.map(({ cell }) => cell.task.labels.length))];
  const positive = [...new Set(done.map(({ cell }) => cell.task.labelWords[1]))];
  if (labels.length === 1 && labels[0] === 2 && positive.length === 1) {
    notes.push(`Precision, recall and F1 are those of the class "${positive[0]}".`);
  } else if (!labels.includes(2)) {
    notes.push("Precision, recall and F1 are unweighted means over the classes.");
  }
  if (rows.some(({ values }) => values.lastAccuracy?.sd != null)) {
    notes.push(
      "± is the sample standard deviation over the seeds; 95 % is Student's t interval of their mean " +
        "on these examples, and where seeds are one or alike, Wilson's interval for the choice of examples.",
    );
  } else if (rows.some(({ values }) => values.lastAccuracy !== null)) {
    notes.push("95 % is Wilson's interval of one run, for the choice of examples.");
  }
  const examples = [...new Set(done.map(({ result }) => result!.examples))];
  if (examples.length === 1) {
    const p = quantity(done.map(({ result }) => result!.last.accuracy)).mean;
    const error = 100 * Math.sqrt(p * (1 - p) / examples[0]);
    notes.push(
      `${examples[0]} validation examples: an accuracy near ${(100 * p).toFixed(0)} % has a ` +
        `standard error of ${error.toFixed(1)} points from the choice of examples alone.`,
    );
  }
  return notes;
}

/** What runs started from, where that was not the seed's draw. */
function startNotes(done: readonly Run[]): string[] {
  const notes = done.flatMap(({ approach, cell: { start } }) =>
    start === undefined
      ? []
      : [`${approach} went on from the saved delta ${start.name} (${start.digest.slice(0, 12)}).`]
  );
  return [...new Set(notes)];
}

/** Which times are shares of what several cells took together. */
function timeNotes(done: readonly Run[]): string[] {
  const cells = done.flatMap(({ times }) => times?.sharedBy ?? []);
  if (cells.length === 0) return [];
  return [
    `${cells.length} of ${done.length} runs shared programs, up to ${Math.max(...cells)} in one: ` +
    "their ms/step, examples/s and seconds are equal shares of what those took together, and do " +
    "not compare methods; --cells-per-program 1 measures each alone.",
  ];
}

/** What methods say of their numbers, once for each approach. */
function methodNotes(done: readonly Run[]): string[] {
  const notes = done.flatMap(({ approach, result }) =>
    result!.note == null ? [] : [`${approach}: ${result!.note}.`]
  );
  return [...new Set(notes)];
}

/** What the figures beside the two accuracies are, where not all are the last epoch's. */
function keepNote(best: readonly Run[], done: readonly Run[]): string[] {
  if (best.length === 0) return [];
  const metrics = [...new Set(best.map(({ cell }) => cell.settings.metric))].join(" or ");
  const trained = done.filter(({ cell }) => cell.settings.epochs > 0);
  const where = best.length === trained.length ? "All" : "Where keep is best, all";
  return [
    `${where} other metrics, saved weights and predictions are those of the epoch with the best ` +
    `validation ${metrics}, and so biased upwards on validation examples, not on test ones.`,
  ];
}

function splitNotes(done: readonly Run[]): string[] {
  return ["test", "train"].flatMap((name) => {
    const sizes = done.flatMap(({ result }) => result!.splits[name]?.examples ?? []);
    if (sizes.length === 0) return [];
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    const size = least === most ? `${least}` : `${least} to ${most}`;
    return [
      `${name === "test" ? "Test" : "Train"} columns: ${size} ${name} examples, measured once, ` +
      `with the weights that are kept.`,
    ];
  });
}

/** Which figures were computed by something else than what trained. */
function evaluationNotes(done: readonly Run[]): string[] {
  const others = Map.groupBy(
    done.filter(({ result }) => result!.evaluatedBy !== undefined),
    ({ result }) => result!.evaluatedBy!,
  );
  return [...others].map(([by, runs]) =>
    `${runs.length === done.length ? "All" : `${runs.length} of ${done.length}`} runs were ` +
    `evaluated by ${by} when training was over: predictions, precision, recall, F1, loss, and ` +
    `the columns of other splits; the two accuracies are measured while training, by WebGPU.`
  );
}

/** How the loss scale of half precision fared. */
function scaleNotes(done: readonly Run[]): string[] {
  const scales = done.flatMap(({ result }) => result!.last.lossScale ?? []);
  if (scales.length === 0) return [];
  const skipped = done.flatMap(({ result }) => result!.last.skippedSteps ?? []);
  const range = (values: readonly number[]) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return least === most ? `${most}` : `${least} to ${most}`;
  };
  return [
    `f16: weights and activations are stored in half precision; ${
      range(skipped)
    } steps a run were ` +
    `skipped because gradients overflowed, and the loss scale ended at ${range(scales)}.`,
  ];
}

/** What classifies where nothing is trained, or where another way was asked for. */
function headNotes(done: readonly Run[]): string[] {
  const texts: Record<HeadOrigin, (run: Run) => string> = {
    label_words: ({ cell }) =>
      `zero_shot compares how likely the base, trained no further, finds the label words ${
        cell.task.labelWords.map((word) => `"${word}"`).join(", ")
      }.`,
    seeded: () =>
      "zero_shot of a sequence classifier uses its head as the seed drew it, untrained: what it " +
      "scores is chance.",
    checkpoint: () => "zero_shot uses the classification head that the checkpoint brings.",
  };
  const untrained = done.filter(({ cell }) => cell.method.name === "zero_shot");
  const notes = untrained.map((run) => texts[run.result!.head](run));
  if (done.some(({ cell }) => cell.task.head)) {
    notes.push(
      "The base's encoder classifies by a linear head under every method, not in label words.",
    );
  }
  return [...new Set(notes)];
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
