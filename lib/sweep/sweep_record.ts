import { writeFileAtomic } from "../formats/atomic.ts";
import { readShaped } from "../formats/json_shape.ts";
import type { PublishedRow } from "./published.ts";
import { sweepShape } from "./run_shapes.ts";

/** A cell that a sweep is to run. */
export interface PlannedCell {
  /** The cell's id, and its folder's name. */
  readonly id: string;
  /** How tables name the method. */
  readonly approach: string;
  /** The method's name in the registry. */
  readonly method: string;
  /** The cell's seed. */
  readonly seed: number;
  /** Epochs that it trains at most. */
  readonly epochs: number;
  /** What is published of its method; null where nothing is. */
  readonly published: PublishedRow | null;
}

/** What the latest sweep in a folder is to run (`sweep.json`), written before its first cell. */
export interface SweepRecord {
  /** In the order of the table. */
  readonly cells: readonly PlannedCell[];
  /** What stands below the table besides its own notes. */
  readonly notes: readonly string[];
  /** Settings and options that are chosen per method; absent in records of older versions. */
  readonly choose?: readonly string[];
  /** Seconds after which no cell is begun; null or absent where there is no such limit. */
  readonly budget?: number | null;
}

/** Writes `sweep.json`. */
export async function writeSweepRecord(out: string, record: SweepRecord): Promise<void> {
  await writeFileAtomic(`${out}/sweep.json`, JSON.stringify(record, null, 2) + "\n");
}

/**
 * Reads `sweep.json`; null where there is none.
 *
 * @throws {Error} When it is there but cannot be read
 */
export async function readSweepRecord(out: string): Promise<SweepRecord | null> {
  return await readShaped<SweepRecord>(`${out}/sweep.json`, sweepShape);
}
