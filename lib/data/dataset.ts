import { sha256 } from "../formats/digest.ts";
import { CLEANING_RULES, cleanText } from "./clean.ts";
import { findSplits, type SplitFiles } from "./dataset_files.ts";
import { type DelimitedFormat, fail, readDelimited, type Table } from "./delimited.ts";
import { countDuplicates, type Duplicates, removeDuplicates, type Splits } from "./duplicates.ts";
import type { Example, SplitName } from "./example.ts";
import { type Labels, mapLabels } from "./labels.ts";
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
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly test?: readonly Example[];
  /** Names of the classes 0 to n - 1. */
  readonly labels: readonly string[];
  readonly source: DataSource;
  readonly duplicates: Duplicates;
  /** SHA-256 over labels, texts, classes and row numbers of all splits as they are here. */
  readonly digest: string;
}

/** What to load and how; one of `dir` and `files` is needed. */
export interface DatasetOptions {
  /** Folder with the splits under GLUE's names, or a single file. */
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
  /** All labels in the order of their classes; by default those of the training file, sorted. */
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
 */
export async function loadDataset(options: DatasetOptions): Promise<Dataset> {
  const { dir, files, seed = 0, trainSize, validationRatio, dedupe = false } = options;
  if ((dir === undefined) === (files === undefined)) {
    throw new TypeError("Cannot load data: one of dir and files is needed, and not both");
  }
  const found: SplitFiles = dir !== undefined
    ? await findSplits(dir)
    : { ...files!, test: files!.test === undefined ? [] : [files!.test] };
  const notes: string[] = [`texts cleaned: ${CLEANING_RULES}`];
  const train = await readSplit(found.train, options);
  const validation = found.validation && await readSplit(found.validation, options);
  const test = await readTest(found.test ?? [], options, notes);

  const labels = mapLabels(train.rows.map((row) => row.label), options.labels?.map(cleanText));
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
      `Cannot split data: ${validation.table.file} is the validation split already; ` +
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
    files: sources.flatMap(([split, read]) => read ? [{ split, ...fileOf(read.table) }] : []),
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

interface Read {
  table: Table;
  rows: { text: string; label: string }[];
}

async function readSplit(path: string, options: DatasetOptions): Promise<Read> {
  return withColumns(await readDelimited(path, options.format), options);
}

/** The test split with labels, if any; what is passed over is noted. */
async function readTest(
  paths: readonly string[],
  options: DatasetOptions,
  notes: string[],
): Promise<Read | undefined> {
  const labelled: Read[] = [];
  for (const path of paths) {
    const table = await readDelimited(path, options.format);
    const column = table.columns.indexOf(options.labelColumn ?? "label");
    if (column < 0) {
      notes.push(`${nameOf(path)} passed over: it has no labels`);
    } else if (table.rows.every((row) => row[column].trim() === "-1")) {
      notes.push(`${nameOf(path)} passed over: its labels are hidden (all are -1)`);
    } else labelled.push(withColumns(table, options));
  }
  if (labelled.length > 1) {
    const [a, b] = labelled.map(({ table }) => table.file);
    throw new Error(`Cannot read data: ${a} and ${b} could both be the test split; remove one`);
  }
  return labelled[0];
}

function withColumns(table: Table, options: DatasetOptions): Read {
  const texts = options.textColumn === undefined ? ["sentence", "text"] : [options.textColumn];
  const text = columnOf(table, "text", texts);
  const label = columnOf(table, "label", [options.labelColumn ?? "label"]);
  const rows = table.rows.map((fields, i) => {
    const row = { text: cleanText(fields[text]), label: cleanText(fields[label]) };
    if (row.text === "") fail(table.file, table.lines[i], "the text is empty; remove the row");
    if (row.label === "") fail(table.file, table.lines[i], "the label is missing");
    return row;
  });
  return { table, rows };
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

function toExamples({ table, rows }: Read, labels: Labels): Example[] {
  return rows.map(({ text, label: name }, id) => {
    const label = labels.ids.get(name);
    if (label !== undefined) return { text, label, id };
    const known = labels.names.slice(0, 20).join(", ") + (labels.names.length > 20 ? ", …" : "");
    return fail(
      table.file,
      table.lines[id],
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
