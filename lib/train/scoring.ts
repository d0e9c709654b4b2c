/**
 * Scores of whole splits, by programs that the training loop shares.
 *
 * @module
 */

import type { PlannedBatch } from "../data/batches.ts";
import type { Program } from "../gpu/program.ts";
import { readMapped, type Session } from "../gpu/session.ts";
import { byteLength, type Node } from "../graph/node.ts";
import { LOSS_CAPACITY } from "./graphs.ts";
import type { KeptFeatures } from "./kept_features.ts";
import { packSizes, tileRows } from "./pack_rows.ts";
import type { Rows, Task, Tokenized } from "./task.ts";

/** A split, and how it is cut into batches. */
export interface PlannedSplit {
  readonly examples: readonly Tokenized[];
  readonly batches: readonly PlannedBatch[];
}

/** What scores a split. */
export interface Scoring {
  readonly task: Task;
  /** Program of each padded length. */
  readonly programs: ReadonlyMap<number, ScoringProgram>;
  /** Rows of a batch. */
  readonly rows: number;
  /** How many cells the programs have, each with all rows of a batch. */
  readonly cells: number;
  /** What of a split is computed once; null or absent where nothing is. */
  readonly kept?: KeptFeatures | null;
}

/** What scores batches of one length. */
export interface ScoringProgram {
  readonly program: Program;
  /** The node that holds a batch's scores, [B, classes]; kept by the program. */
  readonly scores: Node;
}

/** One program for each padded length, the shortest first. */
export function programsByLength<P>(
  lengths: Iterable<number>,
  make: (length: number) => P,
): Map<number, P> {
  const sorted = [...new Set(lengths)].sort((a, b) => a - b);
  return new Map(sorted.map((length) => [length, make(length)]));
}

/**
 * Plans the programs that score batches of some padded lengths.
 *
 * @param scores The task's scores, [B, classes].
 * @param shares Rows of every batch, and how many cells score them.
 * @param kept What of the split is computed once; null where nothing is.
 * @param other Scoring whose programs serve as well, where they run on nothing kept.
 */
export function planScoring(
  session: Session,
  task: Task,
  scores: Node,
  { rows, cells }: Pick<Scoring, "rows" | "cells">,
  lengths: Iterable<number>,
  kept: KeptFeatures | null = null,
  other?: Scoring,
): Scoring {
  const programs = programsByLength(lengths, (T): ScoringProgram => {
    const known = other?.programs.get(T);
    if (known?.scores === scores) return known;
    const own = kept?.program(T);
    if (own != null) return { program: own.program, scores: own.keep[0] };
    return { program: session.program([scores], packSizes(cells, rows, T), [scores]), scores };
  });
  return { task, rows, cells, programs, kept };
}

/** Losses that are read together with scores. */
export interface LossReading {
  /** Of variables [{@linkcode LOSS_CAPACITY}]. */
  readonly names: readonly string[];
  /** Gets their values. */
  readonly take: (values: readonly Float32Array[]) => void;
}

/**
 * Each cell's scores of every example of a split, [examples][classes]; one readback for all.
 *
 * @param losses What is read with them; nothing unless given.
 */
export async function scoreSplit(
  session: Session,
  { task, programs, rows, cells, kept }: Scoring,
  { examples, batches }: PlannedSplit,
  { names, take }: LossReading = { names: [], take: () => {} },
): Promise<number[][][]> {
  if (batches.length === 0) {
    take([...(await session.readVariables(names)).values()]);
    return Array.from({ length: cells }, () => []);
  }
  const [{ program: { sizes }, scores }] = programs.values();
  const bytes = byteLength(scores, sizes);
  await kept?.fill(batches);
  const staging = session.gpu.device.createBuffer({
    label: "scores",
    size: bytes * batches.length + names.length * LOSS_CAPACITY * 4,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  try {
    batches.forEach((batch, i) => {
      const { program, scores } = programs.get(batch.bucketLength)!;
      const inputs = task.scoringInputs(rowsOf(examples, batch, rows));
      session.step(
        [program],
        tileRows(program, { ...inputs, ...kept?.places(batch) }, cells),
        [{ node: scores, to: staging, offset: i * bytes }],
      );
    });
    const end = bytes * batches.length;
    const offsets = names.map((_, i) => end + i * LOSS_CAPACITY * 4);
    session.copyOut(names.map((name, i) => ({ name, offset: offsets[i] })), staging);
    const flat = await readMapped(staging);
    session.gpu.check();
    take(offsets.map((offset) => flat.subarray(offset / 4, offset / 4 + LOSS_CAPACITY)));
    const classes = bytes / 4 / rows / cells;
    return Array.from({ length: cells }, (_, cell) => {
      const result: number[][] = new Array(examples.length);
      batches.forEach(({ indices }, i) =>
        indices.forEach((example, row) => {
          const at = ((i * cells + cell) * rows + row) * classes;
          result[example] = [...flat.subarray(at, at + classes)];
        })
      );
      return result;
    });
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
