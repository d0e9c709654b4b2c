/**
 * The checkpoints of one run, in its folder.
 *
 * @module
 */

import { writeFileAtomic } from "../formats/atomic.ts";
import {
  type Checkpoint,
  type CheckpointIdentity,
  encodeCheckpoint,
  identityDifferences,
  readCheckpoint,
} from "../train/checkpoint.ts";

/** Checkpoints that are kept: the latest, and the one before it should the latest be damaged. */
const KEPT = 2;

const NAME = /^checkpoint-(\d+)\.safetensors$/;

/** Saves, finds and removes the checkpoints of one run. */
export class Checkpoints {
  readonly #folder: string;
  readonly #identity: CheckpointIdentity;

  /**
   * Those in a run's folder, which exists.
   *
   * @param identity What the run computes and what computes it; see {@linkcode readCheckpoint}.
   */
  constructor(folder: string, identity: CheckpointIdentity) {
    this.#folder = folder;
    this.#identity = identity;
  }

  /**
   * The latest checkpoint that the run can go on from; null where there is none.
   *
   * @param note Is told, in a sentence, why one is not used.
   */
  async latest(note: (text: string) => void): Promise<Checkpoint | null> {
    for (const path of (await this.#paths()).reverse()) {
      try {
        const { identity, checkpoint } = await readCheckpoint(path);
        const differences = identityDifferences(identity, this.#identity);
        if (differences.length === 0) return checkpoint;
        note(`Not going on from ${path}: it is of ${differences.join(", ")}`);
      } catch (error) {
        note(`Not going on from a checkpoint: ${(error as Error).message}`);
      }
    }
    return null;
  }

  /**
   * Writes a checkpoint, then removes those that it takes the place of.
   *
   * @throws {Error} When it cannot be written; those before it are then as they were
   */
  async save(checkpoint: Checkpoint): Promise<void> {
    const name = `checkpoint-${String(checkpoint.step).padStart(9, "0")}.safetensors`;
    const data = encodeCheckpoint(checkpoint, this.#identity);
    try {
      await writeFileAtomic(`${this.#folder}/${name}`, data);
    } catch (error) {
      throw new Error(
        `${(error as Error).message}; make room or choose another folder with --out, then start ` +
          "the same command again: the cell goes on from its last checkpoint",
        { cause: error },
      );
    }
    for (const path of (await this.#paths()).slice(0, -KEPT)) await remove(path);
  }

  /** By step, first to last. */
  async #paths(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) if (NAME.test(name)) names.push(name);
    return names.sort().map((name) => `${this.#folder}/${name}`);
  }
}

/** Removes a finished run's checkpoints, and what a killed process left of writing a file. */
export async function clearCheckpoints(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (NAME.test(name)) await remove(`${folder}/${name}`);
  }
  await clearTornFiles(folder);
}

/** A file of a run that is being written; not a claim, which others may be making. */
const TORN = /^\.(?!claim)[\w-]+\.(json|jsonl|csv|safetensors)\.[0-9a-f-]{36}\.tmp$/;

/** Removes what a killed process left of writing a file; for the one that holds the run. */
export async function clearTornFiles(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (TORN.test(name)) await remove(`${folder}/${name}`);
  }
}

async function remove(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
