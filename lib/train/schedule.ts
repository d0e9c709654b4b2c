/**
 * Exponent of 1 − β2 over Adafactor's steps (Shazeer and Stern, "Adafactor: Adaptive Learning Rates
 * with Sublinear Memory Cost", 2018, §7.2).
 */
const DECAY_EXPONENT = -0.8;

/** How the learning rate runs over the optimizer's steps. */
export interface Schedule {
  /** After the warm-up: falling to 0 at `steps`, linearly or as half a cosine, or constant. */
  readonly schedule: "linear" | "cosine" | "constant";
  /** Steps over which the rate rises linearly from 0. */
  readonly warmupSteps: number;
  /** Optimizer steps in all. */
  readonly steps: number;
}

/** Optimizer steps of a warm-up given as such (from 1) or as a share of all steps (rounded up). */
export function warmupSteps(warmup: number, steps: number): number {
  // A share such as 0.07 of 100 must not become 8 by the product's last bit.
  return warmup < 1 ? Math.ceil(Number((warmup * steps).toPrecision(12))) : warmup;
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
 * `get_linear_schedule_with_warmup`, `get_cosine_schedule_with_warmup` (half a cycle) and
 * `get_constant_schedule_with_warmup`.
 */
export function scheduleFactor({ schedule, warmupSteps, steps }: Schedule, step: number): number {
  if (step < warmupSteps) return step / warmupSteps;
  if (schedule === "constant") return 1;
  const rest = Math.max(1, steps - warmupSteps);
  if (schedule === "linear") return Math.max(0, (steps - step) / rest);
  return Math.max(0, (1 + Math.cos(Math.PI * (step - warmupSteps) / rest)) / 2);
}

/**
 * All that AdamW and Adafactor need to know of each step, computed in f64, so that no power is
 * taken in f32.
 *
 * @returns [steps, 4]: learning rate, 1/(1−β1^t), 1/(1−β2^t), and t^−0.8, with t counted from 1.
 */
export function scheduleTable(table: ScheduleTable): Float32Array<ArrayBuffer> {
  const { steps, learningRate, beta1, beta2 } = table;
  const rows = new Float32Array(steps * 4);
  for (let step = 0; step < steps; step++) {
    rows.set([
      learningRate * scheduleFactor(table, step),
      1 / (1 - beta1 ** (step + 1)),
      1 / (1 - beta2 ** (step + 1)),
      (step + 1) ** DECAY_EXPONENT,
    ], step * 4);
  }
  return rows;
}
