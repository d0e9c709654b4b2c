/**
 * Verifying a run: it is done again from what its folder says of it, and compared bit by bit.
 *
 * @module
 */

import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson, sha256File } from "../formats/digest.ts";
import type { Dataset } from "../data/dataset.ts";
import { methods } from "../peft/index.ts";
import { type Base, openBase } from "./base.ts";
import { type Cell, NUMERICS_VERSION } from "./cell.ts";
import { prepareCells, type PreparedCells } from "./cell_runner.ts";
import { compareRun, TOLERANCE } from "./compare_run.ts";
import { type Environment, environment } from "./environment.ts";
import { type Experiment, resolveExperiment, sweep } from "./experiment.ts";
import {
  CERTIFICATE,
  readDescription,
  readRun,
  type RunDescription,
  type Verdict,
} from "./run_folder.ts";
import { openStart } from "./start_delta.ts";
import { openData } from "./sweep_data.ts";
import { type Places, readPlaces } from "./tuned.ts";

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
    const found = await compareRun(folder, description, trained);
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
