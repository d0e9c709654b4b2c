/**
 * Cells that share programs: which may, and their training.
 *
 * @module
 */

import { canonicalJson } from "../formats/digest.ts";
import { methods } from "../peft/index.ts";
import { packKey } from "../train/pack_key.ts";
import { Paused } from "../train/paused.ts";
import { trainPrograms } from "../train/train_pack.ts";
import type { Cell } from "./cell.ts";
import {
  type CellRun,
  prepareCell,
  type Shared,
  trainCell,
  type TrainedCell,
  type TrainHooks,
} from "./train_cell.ts";

/**
 * Cells of one program where nothing else is asked for: more delay the first result. An adapter of
 * software works through as many operations either way, and saves launches alone: on lavapipe with two
 * cores a sweep of eight LoRA cells of the embedded base took two thirds of the time, but two with two
 * adapters took as long. There each cell keeps times of its own instead.
 */
export const CELLS_PER_PROGRAM = { software: 1, hardware: 16 } as const;

/** How many cells share a program: as many as fit within a bound, or so many at most. */
export type CellsPerProgram = "auto" | number;

/**
 * Cells of one program at most.
 *
 * Under a time limit each cell has its own unless asked otherwise: what has begun goes on to its end,
 * and a program of many cells ends late.
 *
 * @param software Whether the adapter computes on the CPU.
 */
export function mostCells(
  { cellsPerProgram, budget }: {
    readonly cellsPerProgram: CellsPerProgram;
    readonly budget: number | null;
  },
  software: boolean,
): number {
  if (cellsPerProgram !== "auto") return cellsPerProgram;
  if (budget !== null) return 1;
  return software ? CELLS_PER_PROGRAM.software : CELLS_PER_PROGRAM.hardware;
}

/**
 * What cells must agree in to share a program: equal texts for those that may; null for a cell that is
 * better alone. See `packKey` for the rules.
 */
export function programKey(cell: Cell, resume?: TrainHooks["resume"]): string | null {
  const { method: { name, options }, settings, ...rest } = cell;
  const method = methods[name];
  const { seed, precision } = cell;
  const own = packKey({ method, options, settings, seed, precision, resume });
  return own === null ? null : canonicalJson([rest, method.needsHead || cell.task.head, own]);
}

/** A cell, and who listens to its training. */
export interface PackedTraining {
  readonly cell: Cell;
  readonly hooks: TrainHooks;
}

/**
 * Trains cells in as few programs as they fit in, one program after the other.
 *
 * A cell that cannot be saved fails alone, and so does one that fits no adapter alone. What is wrong
 * with a whole program fails its cells, once they have begun to train; before that each is tried alone.
 *
 * @returns What each cell leaves, resolved when its program has ended; rejected with `Paused` where it
 *   was left, to be gone on with later, and with the signal's reason where that aborts.
 */
export function trainCells(
  shared: Shared,
  cells: readonly PackedTraining[],
): Promise<TrainedCell>[] {
  const own = cells.map((cell) => new Place(cell));
  const work = async (): Promise<void> => {
    const packs = Map.groupBy(own, ({ cell, hooks }) => programKey(cell, hooks.resume));
    for (const [key, places] of packs) {
      if (key !== null) await trainTogether(shared, places);
      else for (const place of places) await place.trainAlone(shared);
    }
  };
  work().catch((error) => own.forEach((place) => place.reject(error)));
  return own.map(({ promise }) => promise);
}

/** A cell of a pack on its way. */
class Place {
  readonly cell: Cell;
  readonly hooks: TrainHooks;
  readonly promise: Promise<TrainedCell>;
  readonly resolve: (trained: TrainedCell) => void;
  readonly reject: (error: unknown) => void;
  /** Whether its training has told of anything. */
  begun = false;
  /** Why it could not be saved; null where it could. */
  unsaved: { readonly error: unknown } | null = null;

  constructor({ cell, hooks }: PackedTraining) {
    const { promise, resolve, reject } = Promise.withResolvers<TrainedCell>();
    promise.catch(() => {}); // Whoever waits for it is told, be it later.
    this.cell = cell;
    this.hooks = hooks;
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  async trainAlone(shared: Shared): Promise<void> {
    await trainCell(shared, this.cell, this.hooks).then(this.resolve, this.reject);
  }

  /**
   * The hooks, heard, and with a failure to save kept from the neighbours.
   *
   * @param goesOn Whether any cell of the pack can still be saved; the pack ends where none can.
   */
  heard(goesOn: () => boolean): TrainHooks {
    const { onStep, onEpoch, onCheckpoint, ...rest } = this.hooks;
    return {
      ...rest,
      onStep: (progress) => {
        this.begun = true;
        onStep(progress);
      },
      onEpoch: (metrics) => {
        this.begun = true;
        onEpoch(metrics);
      },
      onCheckpoint: onCheckpoint && (async (checkpoint) => {
        if (this.unsaved !== null) return;
        await onCheckpoint(checkpoint).catch((error) => this.unsaved = { error });
        if (!goesOn()) throw this.unsaved!.error;
      }),
    };
  }
}

async function trainTogether(shared: Shared, places: readonly Place[]): Promise<void> {
  let since = performance.now();
  const { signal } = places[0].hooks;
  if (signal.aborted) return places.forEach((place) => place.reject(signal.reason));
  const runs: { place: Place; run: CellRun }[] = [];
  const goesOn = () => runs.some(({ place }) => place.unsaved === null);
  for (const place of places) {
    try {
      runs.push({ place, run: await prepareCell(shared, place.cell, place.heard(goesOn)) });
    } catch (error) {
      place.reject(error);
    }
  }
  if (runs.length === 0) return;
  let done = 0;
  try {
    shared.gpu.check();
    const programs = trainPrograms({
      base: runs[0].run.base,
      methods: runs.map(({ place: { cell: { method: { name, options } } } }) => (
        { method: methods[name], options }
      )),
      runs: runs.map(({ run }) => run.run),
    });
    for await (const ends of programs) {
      const seconds = (performance.now() - since) / 1000 / ends.length;
      for (const end of ends) {
        const { place, run } = runs[done++];
        if (place.unsaved !== null) place.reject(place.unsaved.error);
        else if (end instanceof Paused) place.reject(end);
        else await run.finish(end, seconds, ends.length).then(place.resolve, place.reject);
      }
      since = performance.now();
    }
  } catch (error) {
    for (const { place } of runs.slice(done)) {
      if (place.unsaved !== null) place.reject(place.unsaved.error);
      else if (signal.aborted || place.begun) place.reject(error);
      else await place.trainAlone(shared);
    }
  }
}
