import { assertAlmostEquals, assertEquals } from "@std/assert";
import { median, spread } from "../../bench/statistics.ts";

Deno.test("the median is the middle, of an even count the mean of both middles", () => {
  assertEquals(median([5, 1, 3]), 3);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(median([]), NaN);
});

Deno.test("the spread is half the distance between the quartiles over the median", () => {
  assertEquals(spread([2, 2, 2]), 0);
  assertAlmostEquals(spread([1, 2, 3, 4, 5]), 1 / 3);
});
