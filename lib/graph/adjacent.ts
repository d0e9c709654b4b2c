/**
 * Variables side by side in one buffer, so that one launch reaches all of them.
 *
 * Each starts at a multiple of 256 bytes, where every adapter can bind it by itself, and is followed
 * by zeros up to there: nothing writes them.
 *
 * @module
 */

/** Every adapter's alignment of a binding is a divisor of it. */
const ALIGNMENT = 256;

/** Neighbours that share a buffer. */
export interface AdjacentRun {
  /** Place of the first in the list, and the place after the last. */
  readonly start: number;
  readonly end: number;
  /** Where each starts, bytes. */
  readonly offsets: readonly number[];
  /** Bytes of all of them. */
  readonly bytes: number;
}

/** Bytes of a variable with the zeros behind it. */
export function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Cuts a list of neighbours into runs, each in a buffer of its own.
 *
 * @param sizes Bytes of each.
 * @param maxBinding Largest binding, bytes: a run is no larger, unless it is one variable that is.
 */
export function adjacentRuns(sizes: readonly number[], maxBinding: number): AdjacentRun[] {
  const runs: AdjacentRun[] = [];
  for (let start = 0; start < sizes.length;) {
    const offsets = [0];
    let bytes = paddedBytes(sizes[start]);
    let end = start + 1;
    for (; end < sizes.length && bytes + paddedBytes(sizes[end]) <= maxBinding; end++) {
      offsets.push(bytes);
      bytes += paddedBytes(sizes[end]);
    }
    runs.push({ start, end, offsets, bytes });
    start = end;
  }
  return runs;
}
