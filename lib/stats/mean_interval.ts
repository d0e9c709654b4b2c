import type { Interval } from "./interval.ts";
import { tQuantile } from "./student_t.ts";

/** A mean with its spread. */
export interface MeanInterval extends Interval {
  readonly mean: number;
  /** Sample standard deviation, of n − 1. */
  readonly sd: number;
}

/**
 * Mean, sample standard deviation and Student's t interval of the mean, mean ± t·sd/√n with n − 1
 * degrees of freedom (Student, The Probable Error of a Mean, Biometrika 6, 1908).
 *
 * @param values At least two, taken for independent draws of one normal distribution.
 * @param level Of confidence.
 * @throws RangeError on fewer than two values, or a level outside 0 to 1.
 */
export function meanInterval(values: readonly number[], level = 0.95): MeanInterval {
  const n = values.length;
  if (n < 2) {
    throw new RangeError(`Cannot find a t interval of ${n} values: at least two are needed`);
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const sd = Math.sqrt(squares / (n - 1));
  const half = tQuantile(level, n - 1) * sd / Math.sqrt(n);
  return { mean, sd, lower: mean - half, upper: mean + half };
}
