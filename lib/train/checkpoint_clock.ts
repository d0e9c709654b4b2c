import type { CheckpointInterval } from "./checkpoint.ts";

/** When a run is to be saved. */
export class CheckpointClock {
  readonly #every: CheckpointInterval | null;
  #step: number;
  #time = performance.now();

  /**
   * @param every How often; null for never.
   * @param step Where the run stands.
   */
  constructor(every: CheckpointInterval | null, step: number) {
    this.#every = every;
    this.#step = step;
  }

  /** Whether the steps' number alone says so. */
  dueByStep(step: number): boolean {
    const every = this.#every;
    return every !== null && "steps" in every && step - this.#step >= every.steps;
  }

  /** Whether the steps' number or the time says so. */
  due(step: number): boolean {
    const every = this.#every;
    if (every === null || "steps" in every) return this.dueByStep(step);
    return this.behind(step) && performance.now() - this.#time >= every.seconds * 1000;
  }

  /** Whether it is saved at all, and there is something new to save. */
  behind(step: number): boolean {
    return this.#every !== null && step > this.#step;
  }

  /** Takes note that it was saved. */
  saved(step: number): void {
    this.#step = step;
    this.#time = performance.now();
  }
}
