/**
 * The same work in several engines, side by side: answers first, then time in turns.
 *
 * @module
 */

import { median, spread } from "../statistics.ts";
import type { EngineProcess } from "./process.ts";
import type { Hello, Job, Prepared } from "./protocol.ts";

/** What of an engine's process is used. */
export type Contender = Pick<EngineProcess, "hello" | "prepare" | "round" | "release">;

/** One engine's result of one job. */
export interface PeerResult {
  readonly job: string;
  readonly engine: Hello;
  /** Milliseconds of one repetition: the median of the rounds; null where there is none. */
  readonly median: number | null;
  /** Half of the middle half's width over the median. */
  readonly spread: number | null;
  readonly rounds: number;
  /** Repetitions of a round, all waited for at once. */
  readonly repetitions: number;
  /** Largest difference of its answers from the reference; null where it did not answer. */
  readonly difference: number | null;
  /** Its median over the first engine's: how many times as long it takes. */
  readonly ratio: number | null;
  /** Why there is no time. */
  readonly cannot: string | null;
}

/** How long is measured. */
export interface Effort {
  readonly rounds: number;
  /** Milliseconds that a round should take. */
  readonly roundMs: number;
}

/** A job, what its answers must be, and how far off they may be. */
export interface Comparison {
  readonly job: Job;
  /** Compared with; the first engine's answers where it is null. */
  readonly reference: readonly number[] | null;
  /** Largest difference that is still the same work, for each number as large as it is there. */
  readonly tolerance: number;
}

/**
 * Runs a job in each engine. One whose answers are off, or that cannot do it, is not timed.
 *
 * Rounds are interleaved, A B C A B C …, so that what else the machine does meets all of them alike.
 * A round repeats the work as often as fills its time, waits once, and is taken whole.
 */
export async function compare(
  engines: readonly Contender[],
  { job, reference, tolerance }: Comparison,
  { rounds, roundMs }: Effort,
): Promise<PeerResult[]> {
  const prepared: Prepared[] = [];
  for (const engine of engines) prepared.push(await engine.prepare(job).catch(failure));
  const wanted = reference ?? prepared[0]?.values ?? null;
  const differences = prepared.map(({ values }) =>
    values === undefined || wanted === null ? null : difference(values, wanted)
  );
  const refusals = prepared.map(({ cannot }, i) => {
    if (cannot !== undefined) return cannot;
    const off = differences[i];
    if (off === null) return "there is no answer to compare with";
    return off <= tolerance
      ? null
      : `its answers are off by ${off.toPrecision(2)}, more than ${tolerance}`;
  });
  const counts: number[] = [];
  const times: number[][] = engines.map(() => []);
  for (const [i, engine] of engines.entries()) {
    counts.push(1);
    if (refusals[i] !== null) continue;
    try {
      await engine.round(1); // compiles
      let each = await engine.round(1);
      while (each * counts[i] < roundMs / 4 && counts[i] < 4096) {
        counts[i] *= 4;
        each = await engine.round(counts[i]) / counts[i];
      }
      counts[i] = Math.max(1, Math.round(roundMs / each));
    } catch (error) {
      refusals[i] = failure(error).cannot!;
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [i, engine] of engines.entries()) {
      if (refusals[i] !== null) continue;
      times[i].push(await engine.round(counts[i]) / counts[i]);
    }
  }
  for (const engine of engines) await engine.release().catch(failure);
  const medians = times.map((own) => own.length === 0 ? null : median(own));
  return engines.map(({ hello }, i) => ({
    job: job.name,
    engine: hello,
    median: medians[i],
    spread: medians[i] === null ? null : spread(times[i]),
    rounds: times[i].length,
    repetitions: counts[i],
    difference: differences[i],
    ratio: medians[i] === null || medians[0] === null ? null : medians[i] / medians[0],
    cannot: refusals[i],
  }));
}

/** Largest difference, each over the larger of 1 and the number that is wanted. */
function difference(values: readonly number[], wanted: readonly number[]): number {
  if (values.length !== wanted.length) return Infinity;
  const each = values.map((value, i) =>
    Math.abs(value - wanted[i]) / Math.max(1, Math.abs(wanted[i]))
  );
  return each.some(Number.isNaN) ? Infinity : each.reduce((a, b) => Math.max(a, b), 0);
}

function failure(error: unknown): Prepared & { readonly cannot: string } {
  return { cannot: error instanceof Error ? error.message.split("\n")[0] : String(error) };
}
