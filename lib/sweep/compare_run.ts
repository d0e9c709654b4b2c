/**
 * A finished run's files beside what the same cell gives now.
 *
 * @module
 */

import { digestJson, sha256 } from "../formats/digest.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { trainedFiles } from "./cell_runner.ts";
import type { EpochMetrics } from "./run_cell.ts";
import { resultFiles, type RunDescription } from "./run_folder.ts";
import type { TrainedCell } from "./train_cell.ts";

/** How results are compared where not even the arithmetic promises the same bits. */
export const TOLERANCE = {
  /** Of an epoch's mean training loss, relative. */
  loss: 0.05,
  /** Of the accuracy after an epoch, absolute: 0.02 is two points of a hundred. */
  accuracy: 0.02,
} as const;

/** How a run differs from what its cell gives now. */
export interface Comparison {
  /** Files of the run that were compared. */
  readonly files: string[];
  readonly differences: string[];
  readonly firstStep: number | null;
  /** That no step differs, one sentence; null where one does, or losses are not stored. */
  readonly same: string | null;
  /** Differences beyond the tolerance. */
  readonly beyond: string[];
}

/** Compares a run's files, to the bit, and its metrics within {@linkcode TOLERANCE}. */
export async function compareRun(
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
