import { meanInterval } from "../stats/mean_interval.ts";

/** A quantity over the seeds of a row; sd is the sample standard deviation, null for one seed. */
export interface Quantity {
  /** Arithmetic mean. */
  mean: number;
  /** In the quantity's own unit. */
  sd: number | null;
  /**
   * Lower end of its 95 % interval: Student's t over several seeds; Wilson's for the accuracy of one
   * run, or of seeds that are alike; null where there is none.
   */
  lower: number | null;
  /** Upper end. */
  upper: number | null;
}

/** Mean and sample standard deviation (n − 1), with the t interval, where there are several values. */
export function quantity(values: readonly number[]): Quantity {
  if (values.length > 1) return meanInterval(values);
  return { mean: values[0], sd: null, lower: null, upper: null };
}
