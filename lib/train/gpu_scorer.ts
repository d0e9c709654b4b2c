/**
 * Scores of texts on WebGPU, outside of any training.
 *
 * @module
 */

import { bucketOf, planEvaluation } from "../data/batches.ts";
import type { Gpu } from "../gpu/device.ts";
import { Session } from "../gpu/session.ts";
import { type Precision, storagePolicy } from "../graph/precision.ts";
import { fillIn } from "./fill_in.ts";
import type { WeightValues } from "./initialize.ts";
import { planScoring, scoreSplit, type Scoring } from "./scoring.ts";
import type { Task } from "./task.ts";

/** What is scored, and in what sizes. */
export interface GpuScorerParts {
  /** The device, which stays open when the scorer is closed. */
  readonly gpu: Gpu;
  /** The task of the model. */
  readonly task: Task;
  /** Values of all parameters, f32. */
  readonly values: WeightValues;
  /** Names of the parameters that were trained: they are f32 in any precision. */
  readonly trained: readonly string[];
  /** How the others are stored; f32 unless given. */
  readonly precision?: Precision;
  /** Rows of a batch. */
  readonly rows: number;
  /** Tokens of the longest text. */
  readonly maxLength: number;
  /** The length that no padding exceeds, where the model has no more positions. */
  readonly longest?: number;
}

/**
 * Programs for batches of every padded length up to that of the longest text, on one copy of the
 * weights; made once, replayed for every batch.
 */
export class GpuScorer {
  /** What computes, in words. */
  readonly name: string;
  readonly #session: Session;
  readonly #scoring: Scoring;
  readonly #longest?: number;

  /** See {@linkcode openGpuScorer}. */
  constructor(session: Session, scoring: Scoring, longest?: number) {
    this.name = `WebGPU (${session.gpu.adapter.description})`;
    this.#session = session;
    this.#scoring = scoring;
    this.#longest = longest;
  }

  /**
   * Scores of the classes, [texts][classes], in the texts' order.
   *
   * @param texts Token ids of each text.
   * @throws RangeError where a text is longer than the scorer's longest.
   */
  async score(texts: readonly (readonly number[])[]): Promise<number[][]> {
    const { rows, programs } = this.#scoring;
    const most = Math.max(...programs.keys());
    const beyond = texts.find((ids) => ids.length > most);
    if (beyond !== undefined) {
      throw new RangeError(
        `Cannot score a text of ${beyond.length} tokens: the scorer was made for at most ${most}`,
      );
    }
    const batches = planEvaluation(texts.map((ids) => ids.length), rows, this.#longest);
    const examples = texts.map((ids) => ({ ids }));
    const [scores] = await scoreSplit(this.#session, this.#scoring, { examples, batches });
    return scores;
  }

  /** Frees its memory on the device. */
  close(): Promise<void> {
    this.#session.destroy();
    return Promise.resolve();
  }
}

/**
 * Makes a scorer ready: plans and compiles its programs and fills in the weights.
 *
 * @throws RangeError where it does not fit the device.
 */
export async function openGpuScorer(
  { gpu, task, values, trained, precision = "f32", rows, maxLength, longest }: GpuScorerParts,
): Promise<GpuScorer> {
  const session = new Session(gpu, storagePolicy(precision, trained));
  try {
    const scoring = planScoring(
      session,
      task,
      task.scores(),
      { rows, cells: 1 },
      bucketsTo(maxLength, longest),
    );
    await session.build();
    for (const name of values.keys()) await fillIn(session, name, values);
    return new GpuScorer(session, scoring, longest);
  } catch (error) {
    session.destroy();
    throw error;
  }
}

/** Every padded length of texts of up to some tokens. */
function bucketsTo(maxLength: number, longest?: number): number[] {
  const lengths = [bucketOf(1, longest)];
  for (let last = lengths[0]; last < maxLength; lengths.push(last)) {
    last = bucketOf(last + 1, longest);
  }
  return lengths;
}
