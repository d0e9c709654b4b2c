import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { meanInterval } from "../../lib/stats/mean_interval.ts";

Deno.test("meanInterval() gives the interval of Student's sleep data (Student, 1908)", () => {
  // Hours of sleep gained, second drug minus first; the interval as R's t.test(paired) prints it.
  const gained = [1.2, 2.4, 1.3, 1.3, 0, 1, 1.8, 0.8, 4.6, 1.4];
  const { mean, sd, lower, upper } = meanInterval(gained);
  assertAlmostEquals(mean, 1.58, 1e-12);
  assertAlmostEquals(sd, 1.229995, 1e-6);
  assertAlmostEquals(lower, 0.7001142, 1e-7);
  assertAlmostEquals(upper, 2.4598858, 1e-7);
});

Deno.test("meanInterval() of equal values has no width, of one value does not exist", () => {
  assertEquals(meanInterval([2, 2, 2]), { mean: 2, sd: 0, lower: 2, upper: 2 });
  assertThrows(() => meanInterval([2]), RangeError, "t interval of 1 values");
});
