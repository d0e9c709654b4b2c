import type { TrainSettings } from "./settings.ts";
import type { EpochDecision } from "./trainer.ts";

/** What epochs are compared by. */
export interface WatchedMetrics {
  readonly accuracy: number;
  readonly f1: number;
  /** Loss on the validation split. */
  readonly evalLoss: number;
}

/**
 * Follows the best epoch by a run's metric: says when its weights are to be kept, and when so many
 * epochs (`patience`) have passed without a better one. Equal is not better.
 */
export class EpochWatch<T extends WatchedMetrics> {
  readonly #settings: Pick<TrainSettings, "metric" | "patience" | "keep">;
  #best: T | null = null;
  #since = 0;
  #stopped = false;

  /** Before the first epoch. */
  constructor(settings: Pick<TrainSettings, "metric" | "patience" | "keep">) {
    this.#settings = settings;
  }

  /** Takes the metrics of the next epoch. */
  next(metrics: T): EpochDecision {
    const { metric, patience, keep } = this.#settings;
    const value = ({ accuracy, f1, evalLoss }: T) => {
      const own = metric === "loss" ? -evalLoss : metric === "f1" ? f1 : accuracy;
      // Nothing compares with NaN: a first epoch that diverged would stay the best.
      return Number.isNaN(own) ? -Infinity : own;
    };
    const better = this.#best === null || value(metrics) > value(this.#best);
    if (better) this.#best = metrics;
    this.#since = better ? 0 : this.#since + 1;
    this.#stopped = patience !== null && this.#since >= patience;
    return { keep: keep === "best" && better, stop: this.#stopped };
  }

  /** The best epoch so far; null before the first. */
  get best(): T | null {
    return this.#best;
  }

  /** Whether patience is at its end. */
  get stopped(): boolean {
    return this.#stopped;
  }
}
