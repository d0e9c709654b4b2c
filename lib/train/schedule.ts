/** How the learning rate runs over the optimizer's steps. */
export interface Schedule {
  /** After the warm-up: falling linearly to 0 at `steps`, or constant. */
  readonly schedule: "linear" | "constant";
  /** Steps over which the rate rises linearly from 0. */
  readonly warmupSteps: number;
  /** Optimizer steps in all. */
  readonly steps: number;
}

/** What {@linkcode scheduleTable} needs. */
export interface ScheduleTable extends Schedule {
  /** Peak learning rate. */
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
}

/**
 * Factor on the learning rate at a step, counted from 0, as in transformers'
 * `get_linear_schedule_with_warmup` and `get_constant_schedule_with_warmup`.
 */
export function scheduleFactor({ schedule, warmupSteps, steps }: Schedule, step: number): number {
  if (step < warmupSteps) return step / warmupSteps;
  if (schedule === "constant") return 1;
  return Math.max(0, (steps - step) / Math.max(1, steps - warmupSteps));
}

/**
 * All that AdamW needs to know of each step, computed in f64, so that no power is taken in f32.
 *
 * @returns [steps, 4]: learning rate, 1/(1−β1^t), 1/(1−β2^t) with t counted from 1, and 0.
 */
export function scheduleTable(table: ScheduleTable): Float32Array<ArrayBuffer> {
  const { steps, learningRate, beta1, beta2 } = table;
  const rows = new Float32Array(steps * 4);
  for (let step = 0; step < steps; step++) {
    rows.set([
      learningRate * scheduleFactor(table, step),
      1 / (1 - beta1 ** (step + 1)),
      1 / (1 - beta2 ** (step + 1)),
    ], step * 4);
  }
  return rows;
}
