import type { Cell } from "./cell.ts";
import { type Bracket, type Place, rankSettings, rungScore } from "./halving.ts";
import type { EpochMetrics } from "./run_cell.ts";

/** A cell, and after which epoch it pauses; null: it runs to its end. */
export interface Leg {
  readonly cell: Cell;
  readonly until: number | null;
}

/** A cell that goes no further. */
export interface Dropped {
  readonly cell: Cell;
  /** Counted from 1. */
  readonly rung: number;
  /** Epochs that it has trained. */
  readonly epoch: number;
  /** Its own score; see {@linkcode rungScore}. */
  readonly score: number;
  /** That of its setting, over the seeds. */
  readonly place: Place;
  /** Settings that were compared. */
  readonly settings: number;
}

/** What follows from a round. */
export interface NextRound {
  /** What runs next, in the order of the cells; empty where all is over. */
  readonly legs: readonly Leg[];
  /** What the round has ended. */
  readonly dropped: readonly Dropped[];
  /** What was decided, in words for each bracket. */
  readonly decisions: readonly { readonly bracket: Bracket; readonly text: string }[];
}

/** Epochs of a cell that has come to its rung, or its end; or that it failed. */
export type Settled = { readonly epochs: readonly EpochMetrics[]; readonly done: boolean } | null;

/** One bracket on its way. */
interface Course {
  readonly bracket: Bracket;
  settings: readonly (readonly Cell[])[];
  over: boolean;
}

/**
 * The rounds of a sweep that halves: a function of what cells report alone, so that a sweep that was
 * killed, and others on the same folder, decide the same.
 */
export class HalvingRounds {
  readonly #courses: readonly Course[];
  readonly #order: ReadonlyMap<Cell, number>;
  readonly #settled = new Map<Cell, Settled>();
  #round = 0;

  /** Before the first round. @param cells All cells of the brackets, in their order. */
  constructor(cells: readonly Cell[], brackets: readonly Bracket[]) {
    this.#order = new Map(cells.map((cell, index) => [cell, index]));
    this.#courses = brackets.map((bracket) => ({
      bracket,
      settings: bracket.settings,
      over: false,
    }));
  }

  /** The first round: all cells. */
  first(): Leg[] {
    return this.#inOrder(
      this.#courses.flatMap(({ bracket: { settings, rungs } }) =>
        settings.flat().map((cell) => ({ cell, until: rungs[0]?.epoch ?? null }))
      ),
    );
  }

  /** Takes how a cell of the round has ended; one that was not begun is not told. */
  settle(cell: Cell, settled: Settled): void {
    this.#settled.set(cell, settled);
  }

  /** Decides who goes on. A bracket whose round is not complete is left as it is. */
  next(): NextRound {
    const [legs, dropped, decisions]: [Leg[], Dropped[], NextRound["decisions"][number][]] = [
      [],
      [],
      [],
    ];
    const round = this.#round++;
    for (const course of this.#courses) {
      const { bracket, settings } = course;
      const { [round]: rung, [round + 1]: following } = bracket.rungs;
      const complete = settings.flat().every((cell) => this.#settled.has(cell));
      course.over ||= rung === undefined || !complete;
      if (course.over) continue;
      const scores = settings.map((own) => own.map((cell) => this.#score(cell, rung.epoch)));
      const places = rankSettings(scores, rung.keeps);
      settings.forEach((own, i) =>
        own.forEach((cell, k) => {
          const score = scores[i][k];
          if (score === null || this.#settled.get(cell)!.done) return;
          if (places[i].goesOn) return legs.push({ cell, until: following?.epoch ?? null });
          const { epoch } = rung;
          const own = { cell, epoch, score, place: places[i], settings: settings.length };
          dropped.push({ ...own, rung: round + 1 });
        })
      );
      course.settings = settings.filter((_, i) => places[i].goesOn);
      decisions.push({
        bracket,
        text:
          `${course.settings.length} of ${settings.length} settings go on from epoch ${rung.epoch}`,
      });
    }
    // They are to come to the next rung first.
    for (const { cell } of legs) this.#settled.delete(cell);
    return { legs: this.#inOrder(legs), dropped, decisions };
  }

  #score(cell: Cell, rung: number): number | null {
    const settled = this.#settled.get(cell)!;
    return settled === null ? null : rungScore(cell, settled.epochs, rung);
  }

  #inOrder(legs: readonly Leg[]): Leg[] {
    return legs.toSorted((a, b) => this.#order.get(a.cell)! - this.#order.get(b.cell)!);
  }
}
