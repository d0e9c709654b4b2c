/**
 * Timing of work on the device.
 *
 * Waiting for the queue takes Deno some 10 ms however little there is to wait for, so work is timed
 * in batches that take many times that, and competitors take turns, so that what else the machine
 * does meets all of them alike.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { median, spread } from "./statistics.ts";

/** Something that can be repeated on the device without a wait. */
export interface Work {
  readonly name: string;
  /** Submits the work `count` times. */
  readonly submit: (count: number) => void;
}

/** How long a piece of work took. */
export interface Timing {
  readonly name: string;
  /** Milliseconds of one repetition in the fastest round. */
  readonly best: number;
  /** Milliseconds of one repetition in the median round. */
  readonly median: number;
  /** How far rounds lie apart; see `spread`. */
  readonly spread: number;
  readonly rounds: number;
}

/**
 * Milliseconds that a batch should take, rounds at least and at most, and the spread to reach. A
 * device apart from the processor makes the host wait as long for less work.
 */
const BATCH = { software: 100, hardware: 300 };
const MOST = 16384;
const ROUNDS = { least: 3, most: 6 };
const STABLE = 0.03;

/**
 * Times competing pieces of work in turns: warms each up, then repeats rounds until the two fastest
 * rounds of each lie within 3 %, or six are done.
 */
export async function measure(gpu: Gpu, works: readonly Work[]): Promise<Timing[]> {
  const batch = gpu.adapter.software ? BATCH.software : BATCH.hardware;
  const time = async ({ submit }: Work, count: number) => {
    const start = performance.now();
    submit(count);
    await gpu.device.queue.onSubmittedWorkDone();
    gpu.check();
    return (performance.now() - start) / count;
  };
  const counts: number[] = [];
  for (const work of works) {
    await time(work, 1); // compiles
    let count = 1;
    while (count < MOST && await time(work, count) * count < batch / 4) count *= 4;
    const each = await time(work, count);
    counts.push(Math.max(1, Math.min(MOST, Math.round(batch / each))));
  }
  const times: number[][] = works.map(() => []);
  const stable = (list: number[]) => list.length > 1 && list[1] <= list[0] * (1 + STABLE);
  for (let round = 0; round < ROUNDS.most; round++) {
    if (round >= ROUNDS.least && times.every(stable)) break;
    for (const [i, work] of works.entries()) {
      times[i].push(await time(work, counts[i]));
      times[i].sort((a, b) => a - b);
    }
  }
  return works.map(({ name }, i) => ({
    name,
    best: times[i][0],
    median: median(times[i]),
    spread: spread(times[i]),
    rounds: times[i].length,
  }));
}
