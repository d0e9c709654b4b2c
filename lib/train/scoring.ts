/**
 * Scores of whole splits, by programs that the training loop shares.
 *
 * @module
 */

import type { PlannedBatch } from "../data/batches.ts";
import type { Program } from "../gpu/program.ts";
import { readMapped, type Session } from "../gpu/session.ts";
import { byteLength, type Node } from "../graph/node.ts";
import type { Rows, Task, Tokenized } from "./task.ts";

/** A split, and how it is cut into batches. */
export interface PlannedSplit {
  readonly examples: readonly Tokenized[];
  readonly batches: readonly PlannedBatch[];
}

/** What scores a split. */
export interface Scoring {
  readonly task: Task;
  /** The node that holds a batch's scores, [B, classes]; kept by the programs. */
  readonly scores: Node;
  /** Program of each padded length. */
  readonly programs: ReadonlyMap<number, Program>;
  /** Rows of the programs. */
  readonly rows: number;
}

/** One program for each padded length, the shortest first. */
export function programsByLength(
  lengths: Iterable<number>,
  make: (length: number) => Program,
): Map<number, Program> {
  const sorted = [...new Set(lengths)].sort((a, b) => a - b);
  return new Map(sorted.map((length) => [length, make(length)]));
}

/**
 * Plans the programs that score batches of some padded lengths.
 *
 * @param scores The task's scores, [B, classes].
 * @param rows Rows of every batch.
 */
export function planScoring(
  session: Session,
  task: Task,
  scores: Node,
  rows: number,
  lengths: Iterable<number>,
): Scoring {
  const programs = programsByLength(
    lengths,
    (T) => session.program([scores], { B: rows, T }, [scores]),
  );
  return { task, scores, rows, programs };
}

/** Scores of every example of a split, [examples][classes]; one readback for all of them. */
export async function scoreSplit(
  session: Session,
  { task, scores, programs, rows }: Scoring,
  { examples, batches }: PlannedSplit,
): Promise<number[][]> {
  if (batches.length === 0) return [];
  const [{ sizes }] = programs.values();
  const bytes = byteLength(scores, sizes);
  const staging = session.gpu.device.createBuffer({
    label: "scores",
    size: bytes * batches.length,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  try {
    batches.forEach((batch, i) => {
      const program = programs.get(batch.bucketLength)!;
      session.write(program, task.scoringInputs(rowsOf(examples, batch, rows)));
      session.run([program], [{ node: scores, to: staging, offset: i * bytes }]);
    });
    const flat = await readMapped(staging);
    session.gpu.check();
    const classes = bytes / 4 / rows;
    const result: number[][] = new Array(examples.length);
    batches.forEach(({ indices }, i) =>
      indices.forEach((example, row) => {
        const at = (i * rows + row) * classes;
        result[example] = [...flat.subarray(at, at + classes)];
      })
    );
    return result;
  } finally {
    staging.destroy();
  }
}

/** A batch's examples as the rows of a program. */
export function rowsOf<E extends Tokenized>(
  split: readonly E[],
  batch: PlannedBatch,
  size: number,
): Rows<E> {
  const { indices, bucketLength: length } = batch;
  return { examples: indices.map((i) => split[i]), indices, size, length };
}
