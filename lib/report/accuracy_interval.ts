import { meanInterval } from "../stats/mean_interval.ts";
import { wilson } from "../stats/wilson.ts";
import type { ReportRun } from "./read_runs.ts";
import type { Measure } from "./report_rows.ts";

/** Where an interval comes from, for readers. */
export const INTERVALS =
  "Intervals are of 95 %: over several seeds, Student's t of their mean; for one seed, or where " +
  "all agree, Wilson's of the examples.";

/**
 * 95 % interval of the accuracy of runs that differ in their seeds alone, from 0 to 1: Student's t
 * over the seeds, or Wilson's over the examples where seeds show no spread.
 */
export function accuracyInterval(
  runs: readonly ReportRun[],
  quantity: Measure["quantity"],
): [low: number, high: number] {
  const measured = runs.map(({ result }) => {
    const { test } = result!.splits;
    return quantity === "testAccuracy"
      ? { accuracy: test.accuracy, examples: test.examples }
      : { accuracy: result!.last.accuracy, examples: result!.examples };
  });
  const [{ accuracy, examples }] = measured;
  const { lower, upper } = measured.every((one) => one.accuracy === accuracy)
    ? wilson(Math.round(accuracy * examples), examples)
    : meanInterval(measured.map((one) => one.accuracy));
  return [Math.max(0, lower), Math.min(1, upper)];
}
