/**
 * How a run is carried out: choices that change time and memory, and never its results. So they are
 * no part of a cell.
 *
 * @module
 */

import type { CheckpointInterval } from "./checkpoint.ts";

/** Time and memory of a run. */
export interface Execution {
  /**
   * Whether the backward pass computes the blocks' insides again from their borders, instead of
   * keeping them: where the plan does not fit otherwise, always, or never.
   */
  readonly recompute: Recompute;
  /** Bytes that a run's plan may take on the device; null for no limit. */
  readonly memory: number | null;
  /** How often a run that has a place for it is saved; null or absent for never. */
  readonly checkpoint?: CheckpointInterval | null;
  /**
   * Whether what no training changes is computed once for each example and kept on the device, where
   * that is worth it and fits; auto unless given.
   */
  readonly keepFeatures?: KeepFeatures;
  /** Steps that share a submit; unless given, as many as are short, by measurement. */
  readonly stepsPerSubmit?: number;
  /** Whether kernels are chosen by measurement; auto unless given. */
  readonly tune?: TuneKernels;
}

/**
 * Whether to measure which kernels are fastest: auto on GPUs, where the cache does not tell, within
 * {@linkcode TUNE_SECONDS}; never, which has a rule choose; or on any adapter within so many seconds.
 */
export type TuneKernels = "auto" | "never" | number;

/** Seconds that measuring kernels may take in a process unless asked otherwise. */
export const TUNE_SECONDS = 10;

/** Whether to keep what does not change. */
export type KeepFeatures = "auto" | "never";

/** When to compute again. */
export type Recompute = "auto" | "always" | "never";

/** What is done unless asked otherwise. */
export const defaultExecution: Execution = {
  recompute: "auto",
  memory: null,
  checkpoint: { seconds: 120 },
};

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/**
 * Reads a number of bytes, such as `2GB`, `512MiB` or `1000000`.
 *
 * @throws RangeError where it is something else, or below one byte.
 */
export function parseBytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/.exec(text.trim().toLowerCase()) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit] ?? NaN));
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new RangeError(
      `Cannot read ${JSON.stringify(text)} as bytes: it must be a number with or without a unit ` +
        `(KB, MB, GB, KiB, MiB, GiB), as in 2GB`,
    );
  }
  return bytes;
}
