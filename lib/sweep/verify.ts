/**
 * Verifying a run: it is done again from what its folder says of it, and compared bit by bit.
 *
 * @module
 */

import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson, sha256, sha256File } from "../formats/digest.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import type { Dataset } from "../data/dataset.ts";
import { methods } from "../peft/index.ts";
import { type Base, openBase } from "./base.ts";
import { type Cell, NUMERICS_VERSION } from "./cell.ts";
import { prepareCells, type PreparedCells, trainedFiles } from "./cell_runner.ts";
import { type Environment, environment } from "./environment.ts";
import { type Experiment, resolveExperiment, sweep } from "./experiment.ts";
import type { EpochMetrics } from "./run_cell.ts";
import {
  CERTIFICATE,
  readDescription,
  readRun,
  resultFiles,
  type RunDescription,
  type Verdict,
} from "./run_folder.ts";
import { openStart } from "./start_delta.ts";
import { openData } from "./sweep_data.ts";
import type { TrainedCell } from "./train_cell.ts";
import { type Places, readPlaces } from "./tuned.ts";

/** How results are compared where not even the arithmetic promises the same bits. */
export const TOLERANCE = {
  /** Of an epoch's mean training loss, relative. */
  loss: 0.05,
  /** Of the accuracy after an epoch, absolute: 0.02 is two points of a hundred. */
  accuracy: 0.02,
} as const;

/** What `verify.json` says. */
export interface Certificate {
  /** The cell's id. */
  readonly id: string;
  readonly verdict: Verdict;
  /** Where what it was made from is not what `run.json` says, one sentence each. */
  readonly inputs: readonly string[];
  /** Where what computes is not what `run.json` says: the same bits are not promised then. */
  readonly surroundings: readonly string[];
  /** Where the results differ, one sentence each; and that no step does, where that is so. */
  readonly differences: readonly string[];
  /** The first step whose loss differs, from 1; null where none does, or losses are not stored. */
  readonly firstStep: number | null;
  /** What was allowed to differ; null where nothing was. */
  readonly tolerance: typeof TOLERANCE | null;
  /** SHA-256 of the run's files, as they were compared. */
  readonly digests: Readonly<Record<string, string>>;
  /** What it was done again by. */
  readonly environment: Environment;
}

/** Where what runs were made from lies now; where they noted it, unless given. */
export interface VerifyOptions {
  readonly base?: string;
  readonly data?: string;
  readonly start?: string;
  readonly signal: AbortSignal;
}

/** Verifies runs, opening what several of them share once; close it when done. */
export class Verifier {
  readonly #options: VerifyOptions;
  #opened: { key: string; base: Base; data: Dataset; prepared: PreparedCells } | null = null;

  /** Nothing is opened before it is needed. */
  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  /**
   * Does a finished run again and compares; nothing is written.
   *
   * @throws Error where the run is not done, or what it was made from cannot be opened or run.
   */
  async verify(folder: string): Promise<Certificate> {
    const description = await readDescription(folder);
    if (description === null) {
      throw new Error(`Cannot verify ${folder}: it holds no finished run; run its sweep first`);
    }
    const { cell, kernels = {} } = description;
    const places = await this.#places(folder, cell);
    const { base, data, prepared } = await this.#open(cell, places);
    const surroundings = changedSurroundings(description, prepared);
    // Kernels are of an adapter: on another one, its own are taken.
    const train = (pinned: Kernels) => {
      prepared.pinKernels(surroundings.length === 0 ? pinned : {});
      const { signal } = this.#options;
      return prepared.train(cell, { signal, onStep: () => {}, onEpoch: () => {} });
    };
    const trained = await train(kernels);
    const inputs = await changedInputs(cell, base, data, places);
    const found = await compare(folder, description, trained);
    const recorded = (await readRun(folder))!.result!.kernels;
    if (recorded !== undefined && recorded !== digestJson(kernels)) {
      const own = async () => (await train({})).result.kernels ?? {};
      inputs.push(await changedKernels(kernels, recorded, own));
    }
    const digests: Record<string, string> = {};
    for (const name of found.files) digests[name] = await sha256File(`${folder}/${name}`);
    const { differences, firstStep, same, beyond } = found;
    const isOther = inputs.length + differences.length > 0;
    const told = isOther && same !== null ? [...differences, same] : differences;
    const tolerated = surroundings.length > 0 && beyond.length === 0;
    return {
      id: description.id,
      verdict: inputs.length > 0
        ? "different"
        : differences.length === 0
        ? "identical"
        : tolerated
        ? "within tolerance"
        : "different",
      inputs,
      surroundings,
      differences: surroundings.length > 0 ? [...told, ...beyond] : told,
      firstStep,
      tolerance: surroundings.length > 0 ? TOLERANCE : null,
      digests,
      environment: environment(prepared.adapter),
    };
  }

  /** Frees the device. */
  close(): void {
    this.#opened?.prepared.close();
    this.#opened = null;
  }

  async #places(folder: string, cell: Cell): Promise<Required<Places>> {
    const { base, data, start } = this.#options;
    const noted = await readPlaces(folder);
    const places = {
      base: base ?? noted?.base,
      data: data ?? noted?.data,
      start: cell.start === undefined ? "" : start ?? noted?.start,
    };
    for (const [name, place] of Object.entries(places)) {
      if (place !== undefined) continue;
      throw new Error(
        `Cannot verify ${folder}: it does not say where its ${name} lies; name it with --${name}`,
      );
    }
    return places as Required<Places>;
  }

  async #open(cell: Cell, places: Required<Places>) {
    const experiment = resolveExperiment(experimentOf(cell, places), methods);
    const { seeds: _, methods: __, settings: ___, trainSize: ____, ...shared } = experiment;
    const key = digestJson(shared);
    if (this.#opened?.key !== key) {
      this.close();
      const base = await opened("base", () => openBase(places.base));
      const data = await opened("data", () => openData(experiment));
      this.#opened = { key, base, data, prepared: await prepareCells(experiment, base, data) };
    }
    return this.#opened;
  }
}

async function opened<T>(name: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    throw new Error(
      `${
        (error as Error).message
      }; where it lies elsewhere, or outside the project, name it with ` +
        `--${name}`,
      { cause: error },
    );
  }
}

/** Kernels by what they were chosen for, as `run.json` holds them. */
type Kernels = Readonly<Record<string, string>>;

/**
 * How the kernel choices in `run.json` are not those that the run recorded. Of these the run keeps a
 * digest alone; where the adapter's own choices have it, the two can be compared one by one.
 */
async function changedKernels(
  kernels: Kernels,
  recorded: string,
  own: () => Promise<Kernels>,
): Promise<string> {
  const digest = digestJson(kernels);
  const told =
    `The kernel choices in run.json have digest ${digest.slice(0, 12)}, those that the ` +
    `run recorded ${recorded.slice(0, 12)}`;
  const ran = await own();
  if (digestJson(ran) !== recorded) return told;
  const changed = [...new Set([...Object.keys(kernels), ...Object.keys(ran)])]
    .filter((size) => kernels[size] !== ran[size]);
  const [size] = changed;
  const more = changed.length > 1 ? `, and ${changed.length - 1} more` : "";
  return `${told}: for ${size} it says ${kernels[size] ?? "nothing"}, the run took ${
    ran[size] ?? "nothing"
  }${more}`;
}

/** Writes a run's certificate. */
export async function writeCertificate(folder: string, certificate: Certificate): Promise<void> {
  await writeFileAtomic(`${folder}/${CERTIFICATE}`, JSON.stringify(certificate, null, 2) + "\n");
}

/** The experiment whose only cell a description is. */
function experimentOf(cell: Cell, { base, data, start }: Required<Places>): Experiment {
  const { settings, seed, precision, task } = cell;
  const { trainSize, splits, dedupe, evaluate, columns } = cell.data;
  const [, ratio, splitSeed] = /validation: (\S+) of train, stratified, seed (\d+)/.exec(splits) ??
    [];
  const column = (name: string) => name === "default" ? null : name;
  const { name, options } = cell.method;
  return sweep({
    base,
    data,
    methods: [{ name, options, settings: {} }],
    // Of a method that trains nothing, these alone count.
    settings: settings.epochs === 0
      ? { batchSize: settings.batchSize, maxLength: settings.maxLength }
      : settings,
    seeds: [seed],
    trainSize,
    split: ratio === undefined ? null : Number(ratio),
    splitSeed: Number(splitSeed ?? 0),
    tune: "never", // Kernels are those of the run.
    evaluate: ["validation", ...evaluate],
    dedupe,
    textColumn: column(columns.text),
    labelColumn: column(columns.label),
    labelWords: task.labelWords,
    task: task.head ? "classification" : null,
    prefix: task.prefix,
    precision,
    evalBackend: cell.evalBackend ?? "webgpu",
    start: start === "" ? null : start,
    checkpoint: null,
  });
}

async function changedInputs(
  cell: Cell,
  base: Base,
  data: Dataset,
  { start }: Places,
): Promise<string[]> {
  const digests: [string, string, string][] = [
    ["base", cell.base.digest, base.digest],
    ["tokenizer", cell.tokenizer.digest, base.tokenizerDigest],
    ["data", cell.data.digest, data.digest],
  ];
  if (cell.start !== undefined) {
    digests.push(["start", cell.start.digest, (await openStart(start!)).digest]);
  }
  return digests.filter(([, wanted, found]) => wanted !== found).map(([name, wanted, found]) =>
    `The ${name} has digest ${found.slice(0, 12)}, the run was made from ${wanted.slice(0, 12)}`
  );
}

function changedSurroundings(
  { cell, environment: then }: RunDescription,
  { adapter }: PreparedCells,
): string[] {
  const now = environment(adapter);
  const facts: [string, unknown, unknown][] = [
    ["numerics version", cell.version, NUMERICS_VERSION],
    ["package", then.package, now.package],
    ["Deno", then.deno, now.deno],
    ["V8", then.v8, now.v8],
    ["adapter", then.adapter?.name, adapter.name],
    ["adapter's limits", then.adapter?.limitsDigest, adapter.limitsDigest],
    ["numerics fingerprint", then.adapter?.probe, adapter.probe],
  ];
  return facts.filter(([, before, after]) => before !== after).map(([name, before, after]) =>
    `The ${name} was ${before ?? "unknown"}, and is ${after}`
  );
}

interface Comparison {
  /** Files of the run that were compared. */
  readonly files: string[];
  readonly differences: string[];
  readonly firstStep: number | null;
  /** That no step differs, one sentence; null where one does, or losses are not stored. */
  readonly same: string | null;
  /** Differences beyond the tolerance. */
  readonly beyond: string[];
}

async function compare(
  folder: string,
  description: RunDescription,
  trained: TrainedCell,
): Promise<Comparison> {
  const files: string[] = [];
  const differences: string[] = [];
  /** Digest of a stored file. */
  const take = async (name: string): Promise<string | null> => {
    const text = await readIfThere(`${folder}/${name}`);
    if (text === null) differences.push(`${name} is not there`);
    else files.push(name);
    return text === null ? null : sha256(text);
  };
  let firstStep: number | null = null;
  let same: string | null = null;
  for (const [name, parts] of trainedFiles(trained)) {
    const stored = await take(name);
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    const isLosses = name === "losses.safetensors";
    if (stored === sha256(bytes) && isLosses) {
      same = `No step differs: the losses of all ${trained.losses.length} steps are the same`;
    }
    if (stored === null || stored === sha256(bytes)) continue;
    if (isLosses) {
      const { step, text } = await differentLoss(`${folder}/${name}`, trained.losses);
      firstStep = step;
      differences.unshift(text);
    } else {
      differences.push(await differentWeight(`${folder}/${name}`, trained.trained));
    }
  }
  for (const [name, text] of resultFiles(description, trained.result)) {
    if (name === "run.json") continue;
    const stored = await take(name);
    if (stored === null || stored === sha256(text)) continue;
    const before = new TextDecoder().decode((await readIfThere(`${folder}/${name}`))!);
    if (name === "result.json" && measured(before) === measured(text)) continue;
    differences.push(`${name} differs, first in ${firstLine(before, text)}`);
  }
  return { files, differences, firstStep, same, beyond: await beyondTolerance(folder, trained) };
}

/** A result without its plan and kernels, which are how it was carried out. */
function measured(text: string): string {
  const { planned: _, kernels: __, ...rest } = JSON.parse(text);
  return digestJson(rest);
}

function firstLine(before: string, after: string): string {
  const [a, b] = [before, after].map((text) => text.split(/\r?\n/));
  const at = a.findIndex((line, i) => line !== b[i]);
  const line = at < 0 ? a.length : at;
  const short = (text: string | undefined) => (text ?? "nothing").trim().slice(0, 80);
  return `line ${line + 1}: ${short(a[line])} became ${short(b[line])}`;
}

async function differentLoss(
  path: string,
  losses: Float32Array,
): Promise<{ step: number | null; text: string }> {
  let stored: Float32Array;
  try {
    stored = await (await readSafetensors(path)).read("loss");
  } catch (error) {
    return { step: null, text: (error as Error).message };
  }
  const count = Math.min(stored.length, losses.length);
  let at = 0;
  while (at < count && Object.is(stored[at], losses[at])) at++;
  if (at === count) {
    return { step: count + 1, text: `It took ${stored.length} steps, and takes ${losses.length}` };
  }
  return {
    step: at + 1,
    text: `The first differing step is ${at + 1} of ${stored.length}: its loss was ${
      stored[at]
    }, and is ${losses[at]}`,
  };
}

async function differentWeight(path: string, trained: TrainedCell["trained"]): Promise<string> {
  try {
    const file = await readSafetensors(path);
    for (const [name, { data }] of trained) {
      const stored = await file.read(name);
      const at = data.findIndex((value, i) => !Object.is(value, stored[i]));
      if (at < 0) continue;
      return `The weights after the last step differ, first in ${name}, element ${at}: it was ${
        stored[at]
      }, and is ${data[at]}`;
    }
    return "delta.safetensors differs in its header alone";
  } catch (error) {
    return (error as Error).message;
  }
}

async function beyondTolerance(folder: string, { result }: TrainedCell): Promise<string[]> {
  const bytes = await readIfThere(`${folder}/metrics.jsonl`);
  if (bytes === null) return ["There are no metrics to compare within a tolerance"];
  const stored = new TextDecoder().decode(bytes).trimEnd().split("\n")
    .map((line) => JSON.parse(line) as EpochMetrics);
  if (stored.length !== result.epochs.length) {
    return [`It took ${stored.length} epochs, and takes ${result.epochs.length}`];
  }
  return stored.flatMap((before, i) => {
    const after = result.epochs[i];
    const found: string[] = [];
    if (Math.abs(before.accuracy - after.accuracy) > TOLERANCE.accuracy) {
      found.push(
        `Beyond the tolerance: accuracy after epoch ${after.epoch} was ${before.accuracy}, and is ${after.accuracy}`,
      );
    }
    const [a, b] = [before.trainLoss ?? 0, after.trainLoss ?? 0];
    if (Math.abs(a - b) > TOLERANCE.loss * Math.abs(a)) {
      found.push(`Beyond the tolerance: loss of epoch ${after.epoch} was ${a}, and is ${b}`);
    }
    return found;
  });
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
