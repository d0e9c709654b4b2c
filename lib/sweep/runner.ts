import { type Cell, cellId } from "./cell.ts";
import { dropRun } from "./drop_run.ts";
import type { Environment } from "./environment.ts";
import { bracketName, type Halving, halvingText, planHalving } from "./halving.ts";
import { HalvingRounds, type Leg } from "./halving_rounds.ts";
import type { MethodSpec } from "./method_spec.ts";
import type {
  CellResult,
  EpochMetrics,
  PackedCell,
  RunCell,
  RunPack,
  StepProgress,
} from "./run_cell.ts";
import { errorTime, isDone, readMetrics } from "./run_folder.ts";
import { type Item, runItem } from "./run_item.ts";
import { inTurns } from "./take_turns.ts";

/** How a cell ended. */
export type Outcome =
  | { kind: "done"; result: CellResult }
  | { kind: "skipped" }
  | { kind: "paused"; epoch: EpochMetrics; epochs: number }
  | { kind: "failed"; message: string }
  | { kind: "interrupted" };

/** A cell's place in its sweep. */
export interface CellPlace {
  /** Counted from 1. */
  number: number;
  /** Cells of the sweep. */
  count: number;
  /** The method's name in tables. */
  approach: string;
  /** The cell's seed. */
  seed: number;
}

/** Listens to a sweep; see progress.ts for what prints it. */
export interface SweepReporter {
  /** Before a cell runs, or is found done; several before the first of them ends share a program. */
  start(place: CellPlace): void;
  /** Passes on what a cell reports; cells that share a program report in turn. */
  step(progress: StepProgress, place: CellPlace): void;
  /** Passes on what a cell reports. */
  epoch(metrics: EpochMetrics, place: CellPlace): void;
  /** A sentence for the person who watches, on a cell where one is named. */
  note?(text: string, place?: CellPlace): void;
  /** After a cell, however it ended. */
  end(place: CellPlace, outcome: Outcome): Promise<void>;
}

/** What a sweep needs besides its cells. */
export interface SweepOptions {
  /** Folder that receives one folder for each cell, named by its id. */
  out: string;
  /** Names a method for tables. */
  label(method: MethodSpec): string;
  /** Goes into every `run.json`. */
  environment: Environment;
  /** Told of everything that happens. */
  reporter: SweepReporter;
  /** Stops the sweep. */
  signal: AbortSignal;
  /** Runs several cells in one program; absent where each runs alone. */
  runPack?: RunPack;
  /** Seconds after which no cell begins, while methods take turns; null or absent for no limit. */
  budget?: number | null;
  /** Stops settings that do not come up to others of their method; null or absent for none. */
  halving?: Halving | null;
}

/** How many cells ended in which way. */
export interface SweepSummary extends Record<"done" | "skipped" | "failed", number> {
  /** Stopped by halving, where a sweep does that. */
  dropped?: number;
}

/** Folder of a cell's run. */
export function runFolder(out: string, cell: Cell): string {
  return `${out}/${cellId(cell)}`;
}

/**
 * Runs the cells that are not done yet, one after the other, or several in one program; one that fails
 * leaves its error in its folder, and the others go on. Under a budget the cells come in turns of their methods, the one that
 * runs when it is over goes on to its end, and the rest have no folder. Of several processes on one
 * folder, each cell is run by one; the others wait for it at the end. A program takes the cells
 * that may share it in their order, but for those that are done or that another process runs.
 *
 * Where it halves, cells run to the first rung, and pause there; those that go on run to the next,
 * and so on. What goes on follows from the metrics that the cells' folders hold.
 *
 * @throws {unknown} The signal's reason, once the running cell has stopped after an abort
 * @throws {RangeError} Where the cells cannot be halved; then nothing has run
 */
export async function runSweep(
  cells: readonly Cell[],
  runCell: RunCell,
  { out, label, environment, reporter, signal, runPack, budget = null, halving = null }:
    SweepOptions,
): Promise<SweepSummary> {
  const summary: SweepSummary = {
    ...{ done: 0, skipped: 0, failed: 0 },
    ...halving !== null && { dropped: 0 },
  };
  const end = budget === null ? Infinity : performance.now() + 1000 * budget;
  const brackets = halving === null ? [] : planHalving(cells, halving);
  const rounds = new HalvingRounds(cells, brackets);
  if (halving !== null) {
    reporter.note?.(halvingText(brackets, halving.eta, label));
  }
  const itemsOf = (legs: readonly Leg[]): Item[] => {
    const cells = legs.map(({ cell }) => cell);
    const until = new Map(legs.map(({ cell, until }) => [cell, until]));
    return (budget === null ? cells : inTurns(cells)).map((cell, index) => {
      const approach = label(cell.method);
      return {
        folder: runFolder(out, cell),
        place: { number: index + 1, count: legs.length, approach, seed: cell.seed },
        description: { id: cellId(cell), approach, cell, environment },
        pause: halving === null || until.get(cell) === null
          ? null
          : { epoch: until.get(cell)!, eta: halving.eta },
      };
    });
  };
  /** Begins a cell; what comes of it is taken by `settle`. */
  const begin = async ({ item, failed }: Due, run: RunCell): Promise<Begun> => {
    signal.throwIfAborted();
    const { folder, description: { cell } } = item;
    const before = await atRung(item);
    if (before !== null) {
      rounds.settle(cell, { epochs: before, done: false });
      return "settled";
    }
    // Cells that are done already take no time, and are counted.
    if (performance.now() >= end && !await isDone(folder)) return "settled";
    return await runItem(item, failed, run, reporter, signal) ?? "held";
  };
  /** Whether it is settled; not where another process runs it. */
  const settle = async ({ folder, place, description: { cell } }: Item, begun: Begun) => {
    if (begun === "held" || begun === "settled") return begun === "settled";
    await reporter.end(place, begun);
    if (begun.kind === "interrupted") throw signal.reason;
    if (begun.kind !== "paused") summary[begun.kind]++;
    if (halving !== null) {
      const failed = begun.kind === "failed";
      const done = begun.kind !== "paused";
      rounds.settle(cell, failed ? null : { epochs: await readMetrics(folder), done });
    }
    return true;
  };
  /** Those that may share a program with the first, itself among them, in their order. */
  const mates = (due: readonly Due[]): readonly Due[] => {
    const keyOf = ({ item: { description: { cell }, pause } }: Due) => {
      const key = runPack?.key(cell) ?? null;
      return key === null ? null : `${pause?.epoch} ${key}`;
    };
    const key = keyOf(due[0]);
    return key === null ? due.slice(0, 1) : due.filter((one) => keyOf(one) === key);
  };
  /** Runs cells, as many of them in one program as may be; returns those that others run. */
  const pass = async (due: readonly Due[]): Promise<Due[]> => {
    const held: Due[] = [];
    for (let left = [...due]; left.length > 0;) {
      const taken = new Set<Due>();
      const pack = new Pack(runCell, runPack);
      const waiting: { one: Due; begun: Promise<Begun> }[] = [];
      try {
        for (const one of mates(left)) {
          if (pack.isFull || signal.aborted) break;
          taken.add(one);
          const failed = one.failed ?? await errorTime(one.item.folder);
          const { begun, waits } = await pack.begin((run) => begin(one, run));
          if (waits) waiting.push({ one: { ...one, failed }, begun });
          else if (!await settle(one.item, await begun)) held.push({ ...one, failed });
        }
        pack.run(signal);
        for (const { one, begun } of waiting) {
          if (!await settle(one.item, await begun)) held.push(one);
        }
      } catch (error) {
        pack.abandon(error);
        throw error;
      } finally {
        await Promise.allSettled(waiting.map(({ begun }) => begun));
      }
      signal.throwIfAborted();
      left = left.filter((one) => !taken.has(one));
    }
    return held;
  };
  const runRound = async (items: readonly Item[]): Promise<void> => {
    let held = await pass(items.map((item) => ({ item, failed: null })));
    if (held.length > 0) {
      reporter.note?.(`Waiting for ${held.length} cells that another process runs`);
    }
    while (held.length > 0) {
      const left = await pass(held);
      if (left.length === held.length) await pause(POLL, signal);
      held = left;
    }
  };
  if (halving === null) {
    await runRound(itemsOf(cells.map((cell) => ({ cell, until: null }))));
    return summary;
  }
  for (let legs: readonly Leg[] = rounds.first(); legs.length > 0;) {
    await runRound(itemsOf(legs));
    const next = rounds.next();
    for (const { bracket, text } of next.decisions) {
      reporter.note?.(`${bracketName(bracket, label)}: ${text}`);
    }
    for (const one of next.dropped) await dropRun(runFolder(out, one.cell), one, halving.eta);
    summary.dropped! += next.dropped.length;
    legs = next.legs;
  }
  return summary;
}

/** Metrics of a cell that has come to its rung; null where it has not, or has failed since. */
async function atRung({ folder, pause }: Item): Promise<EpochMetrics[] | null> {
  if (pause === null || await errorTime(folder) > 0 || await isDone(folder)) return null;
  // What cannot be read is written anew when the cell runs again.
  const epochs = await readMetrics(folder).catch(() => []);
  return (epochs.at(-1)?.epoch ?? 0) < pause.epoch ? null : epochs;
}

/** Milliseconds between two looks at a cell that another process runs. */
const POLL = 500;

/** A cell that is to run. */
interface Due {
  readonly item: Item;
  /** Where another process has run it since: when it had failed before that. Else null. */
  readonly failed: number | null;
}

/** What came of a cell: an outcome, or that another process runs it, or that nothing is to be told. */
type Begun = Outcome | "held" | "settled";

/** Cells of one program: each waits, claimed and ready to run, until all have come. */
class Pack {
  readonly #runCell: RunCell;
  readonly #runPack: RunPack | undefined;
  readonly #waiting: (PackedCell & PromiseWithResolvers<CellResult>)[] = [];
  #runs = false;

  constructor(runCell: RunCell, runPack: RunPack | undefined) {
    this.#runCell = runCell;
    this.#runPack = runPack;
  }

  /** Whether no cell more may share the program. */
  get isFull(): boolean {
    return this.#waiting.length >= (this.#runPack?.most ?? 1);
  }

  /**
   * Begins a cell.
   *
   * @returns What comes of it, and whether it waits for the program to run.
   */
  async begin<T>(
    work: (run: RunCell) => Promise<T>,
  ): Promise<{ begun: Promise<T>; waits: boolean }> {
    const come = Promise.withResolvers<true>();
    const begun = work((cell, hooks) => {
      const end = Promise.withResolvers<CellResult>();
      this.#waiting.push({ cell, hooks, ...end });
      come.resolve(true);
      return end.promise;
    });
    const waits = await Promise.race([come.promise, begun.then(() => false, () => false)]);
    return { begun, waits };
  }

  /** Runs those that wait. */
  run(signal: AbortSignal): void {
    this.#runs = true;
    this.#ends(signal).forEach((end, i) => {
      const { resolve, reject } = this.#waiting[i];
      end.then(resolve, reject);
    });
  }

  #ends(signal: AbortSignal): readonly Promise<CellResult>[] {
    if (signal.aborted) return this.#waiting.map(() => Promise.reject(signal.reason));
    if (this.#waiting.length > 1) return this.#runPack!.run(this.#waiting);
    return this.#waiting.map(async ({ cell, hooks }) => await this.#runCell(cell, hooks));
  }

  /** Lets those go that wait for a program which will not run. */
  abandon(reason: unknown): void {
    if (!this.#runs) this.#waiting.forEach(({ reject }) => reject(reason));
  }
}

/** Resolves after some milliseconds, rejects with the signal's reason when that aborts. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
  signal.throwIfAborted();
}
