import { sha256 } from "../formats/digest.ts";
import { CLEANING_RULES, cleanText } from "./clean.ts";
import { findSplits, type SplitFiles } from "./dataset_files.ts";
import { type DelimitedFormat, fail, readDelimited, type Table } from "./delimited.ts";
import { countDuplicates, type Duplicates, removeDuplicates, type Splits } from "./duplicates.ts";
import type { Example, SplitName } from "./example.ts";
import { type Labels, mapLabels } from "./labels.ts";
import { readParquet } from "./parquet.ts";
import { sampleStratified, splitStratified } from "./stratify.ts";

export type { Duplicates } from "./duplicates.ts";
export type { Example, SplitName } from "./example.ts";

/** Where a data set came from and what was done to it. */
export interface DataSource {
  /** Files by name (without folders), with the SHA-256 of their stored bytes. */
  readonly files: readonly {
    readonly split: SplitName;
    readonly name: string;
    readonly sha256: string;
    /** Rows without the header. */
    readonly rows: number;
  }[];
  /** How the validation split was split off the training file; absent where it has a file. */
  readonly split?: { readonly ratio: number; readonly seed: number };
  /** What a reader of the results should know, one sentence each. */
  readonly notes: readonly string[];
}

/** Labelled texts in splits. */
export interface Dataset {
  /** What is trained on. */
  readonly train: readonly Example[];
  /** What every epoch is measured on. */
  readonly validation: readonly Example[];
  /** What is measured once, where there is such a split with labels. */
  readonly test?: readonly Example[];
  /** Names of the classes 0 to n - 1. */
  readonly labels: readonly string[];
  /** Where it came from. */
  readonly source: DataSource;
  /** How often equal texts stand in it. */
  readonly duplicates: Duplicates;
  /** SHA-256 over labels, texts, classes and row numbers of all splits as they are here. */
  readonly digest: string;
}

/** What to load and how; one of `dir` and `files` is needed. */
export interface DatasetOptions {
  /** Folder with the splits under GLUE's names (TSV, CSV or Parquet), or a single file. */
  readonly dir?: string;
  /** The splits' files. */
  readonly files?: {
    readonly train: string;
    readonly validation?: string;
    readonly test?: string;
  };
  /** By default `sentence`, or else `text`. */
  readonly textColumn?: string;
  /** By default `label`. */
  readonly labelColumn?: string;
  /** By default what each file's name says. */
  readonly format?: DelimitedFormat;
  /**
   * All labels in the order of their classes; by default as the training file knows them (Parquet),
   * or else those in it, sorted.
   */
  readonly labels?: readonly string[];
  /** Share of the training file that becomes validation where that has no file; 0.1 by default. */
  readonly validationRatio?: number;
  /** Decides which examples are split off and sampled; 0 by default. */
  readonly seed?: number;
  /** Size of a stratified sample of the training split; all of it by default. */
  readonly trainSize?: number;
  /** Whether training examples that leak or are repeated are removed (before sampling). */
  readonly dedupe?: boolean;
}

/**
 * Loads a data set: reads its files, cleans the texts, maps the labels, makes the splits, counts
 * duplicates and removes them if asked to, samples the training split.
 *
 * @throws {Error} If a file cannot be read.
 * @throws {RangeError|TypeError} If a file's content or an option is wrong; for a row, the message
 * has file, line and reason.
 *
 * @example
 * ```ts
 * import { loadDataset } from "@tunegrid/tunegrid/train";
 *
 * const file = await Deno.makeTempFile({ suffix: ".csv" });
 * await Deno.writeTextFile(file, "review,stars\n" + "superb,5\ndreadful,1\n".repeat(10));
 * const data = await loadDataset({
 *   files: { train: file },
 *   textColumn: "review",
 *   labelColumn: "stars",
 *   validationRatio: 0.2,
 * });
 * console.log(data.labels, data.train.length, data.validation.length); // ["1", "5"] 16 4
 * await Deno.remove(file);
 * ```
 */
export async function loadDataset(options: DatasetOptions): Promise<Dataset> {
  const { dir, files, seed = 0, trainSize, validationRatio, dedupe = false } = options;
  if ((dir === undefined) === (files === undefined)) {
    throw new TypeError("Cannot load data: one of dir and files is needed, and not both");
  }
  const found: SplitFiles = dir !== undefined ? await findSplits(dir) : {
    train: [files!.train],
    validation: files!.validation === undefined ? undefined : [files!.validation],
    test: files!.test === undefined ? [] : [[files!.test]],
  };
  const notes: string[] = [`texts cleaned: ${CLEANING_RULES}`];
  const train = await readSplit(found.train, options);
  const validation = found.validation && await readSplit(found.validation, options);
  const test = await readTest(found.test ?? [], options, notes);

  const labels = mapLabels(
    train.rows.map((row) => row.label),
    (options.labels ?? train.classes)?.map(cleanText),
  );
  let splits: Splits = {
    train: toExamples(train, labels),
    validation: validation ? toExamples(validation, labels) : [],
    test: test && toExamples(test, labels),
  };
  const ratio = validationRatio ?? 0.1;
  if (!validation) {
    splits = { ...splits, ...splitOff(splits.train, ratio, seed, notes) };
  } else if (validationRatio !== undefined) {
    throw new RangeError(
      `Cannot split data: ${validation.tables[0].file} is the validation split already; ` +
        "leave out the ratio, or name the training file alone as data",
    );
  }
  let duplicates = countDuplicates(splits);
  if (dedupe) {
    const { train, removed } = removeDuplicates(splits);
    if (new Set(train.map(({ label }) => label)).size < 2) {
      throw new RangeError(
        `Cannot remove duplicates: of ${splits.train.length} training examples ` +
          `${train.length} would be left, in fewer than 2 classes`,
      );
    }
    splits = { ...splits, train };
    duplicates = { ...duplicates, removed };
  }
  if (trainSize !== undefined) {
    const sample = sampleStratified(splits.train, trainSize, seed);
    notes.push(
      `training split: stratified sample of ${trainSize} of ${splits.train.length} examples, ` +
        `seed ${seed}`,
    );
    splits = { ...splits, train: sample };
  }
  const sources = [["train", train], ["validation", validation], ["test", test]] as const;
  const source: DataSource = {
    files: sources.flatMap(([split, read]) =>
      read?.tables.map((table) => ({ split, ...fileOf(table) })) ?? []
    ),
    ...validation ? {} : { split: { ratio, seed } },
    notes,
  };
  return makeDataset(splits, labels.names, source, duplicates);
}

/**
 * A data set of examples that are already there, such as generated ones.
 *
 * @param duplicates By default counted here.
 */
export function makeDataset(
  splits: Splits,
  labels: readonly string[],
  source: DataSource,
  duplicates: Duplicates = countDuplicates(splits),
): Dataset {
  const { train, validation, test } = splits;
  const rows = [train, validation, test ?? []].map((split) =>
    split.map(({ id, label, text }) => [id, label, text])
  );
  const digest = sha256(JSON.stringify([labels, ...rows]));
  return { train, validation, test, labels, source, duplicates, digest };
}

/** A split as its files have it. */
interface Read {
  tables: Table[];
  rows: { text: string; label: string; table: Table; line: number }[];
  /** Names of all classes, where the files know them. */
  classes?: readonly string[];
}

async function readSplit(paths: readonly string[], options: DatasetOptions): Promise<Read> {
  return withColumns(await readTables(paths, options.format), options);
}

async function readTables(paths: readonly string[], format?: DelimitedFormat): Promise<Table[]> {
  const tables: Table[] = [];
  for (const path of paths) {
    const isParquet = format === undefined && path.endsWith(".parquet");
    tables.push(isParquet ? await readParquet(path) : await readDelimited(path, format));
  }
  return tables;
}

/** The test split with labels, if any; what is passed over is noted. */
async function readTest(
  splits: readonly (readonly string[])[],
  options: DatasetOptions,
  notes: string[],
): Promise<Read | undefined> {
  const labelled: Read[] = [];
  for (const paths of splits) {
    const tables = await readTables(paths, options.format);
    const name = options.labelColumn ?? "label";
    const isHidden = ({ columns, rows }: Table) =>
      rows.every((row) => row[columns.indexOf(name)].trim() === "-1");
    if (tables.some(({ columns }) => !columns.includes(name))) {
      notes.push(`${nameOf(paths[0])} passed over: it has no labels`);
    } else if (tables.every(isHidden)) {
      notes.push(`${nameOf(paths[0])} passed over: its labels are hidden (all are -1)`);
    } else labelled.push(withColumns(tables, options));
  }
  if (labelled.length > 1) {
    const [a, b] = labelled.map(({ tables }) => tables[0].file);
    throw new Error(`Cannot read data: ${a} and ${b} could both be the test split; remove one`);
  }
  return labelled[0];
}

function withColumns(tables: Table[], options: DatasetOptions): Read {
  const texts = options.textColumn === undefined ? ["sentence", "text"] : [options.textColumn];
  const rows = tables.flatMap((table) => {
    const text = columnOf(table, "text", texts);
    const label = columnOf(table, "label", [options.labelColumn ?? "label"]);
    return table.rows.map((fields, i) => {
      const line = table.lines[i];
      const row = { text: cleanText(fields[text]), label: cleanText(fields[label]), table, line };
      if (row.text === "") fail(table.file, line, "the text is empty; remove the row");
      if (row.label === "") fail(table.file, line, "the label is missing");
      return row;
    });
  });
  return { tables, rows, classes: tables[0].classes?.get(options.labelColumn ?? "label") };
}

function columnOf({ file, columns }: Table, role: string, names: string[]): number {
  const name = names.find((name) => columns.includes(name));
  if (name !== undefined) return columns.indexOf(name);
  return fail(
    file,
    1,
    `no ${role} column ${names.join(" or ")}; found ${columns.join(", ")}, name one of them`,
  );
}

function toExamples({ rows }: Read, labels: Labels): Example[] {
  return rows.map(({ text, label: name, table, line }, id) => {
    const label = labels.ids.get(name);
    if (label !== undefined) return { text, label, id };
    const known = labels.names.slice(0, 20).join(", ") + (labels.names.length > 20 ? ", …" : "");
    return fail(
      table.file,
      line,
      `unknown label ${JSON.stringify(name)}; known are ${known}`,
    );
  });
}

function splitOff(
  examples: readonly Example[],
  ratio: number,
  seed: number,
  notes: string[],
): { train: Example[]; validation: Example[] } {
  if (!(ratio > 0 && ratio < 1)) {
    throw new RangeError(`Cannot split data: validation ratio ${ratio} must lie between 0 and 1`);
  }
  const size = Math.round(examples.length * ratio);
  const [validation, train] = splitStratified(examples, size, seed, "validation");
  notes.push(
    `validation split: ${size} of ${examples.length} training rows, stratified, seed ${seed}`,
  );
  return { train, validation };
}

function fileOf(table: Table): { name: string; sha256: string; rows: number } {
  return { name: nameOf(table.file), sha256: table.sha256, rows: table.rows.length };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
