import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { holm } from "../../lib/stats/holm.ts";

Deno.test("holm() decides the textbook example of four hypotheses as published", () => {
  // p of 0.01, 0.04, 0.03 and 0.005 at level 0.05: the first and the last are rejected (the
  // example of the Holm-Bonferroni article of Wikipedia); adjusted values as R's p.adjust gives.
  const adjusted = holm([0.01, 0.04, 0.03, 0.005]);
  const expected = [0.03, 0.06, 0.06, 0.02];
  expected.forEach((value, i) => assertAlmostEquals(adjusted[i], value, 1e-15));
  assertEquals(adjusted.map((p) => p <= 0.05), [true, false, false, true]);
});

Deno.test("holm() rejects as Holm's own procedure does (1979), step by step", () => {
  const level = 0.05;
  const cases = [[0.01], [0.02, 0.02, 0.02], [0.001, 0.2, 0.012, 0.02, 0.011], [1, 0.5], []];
  for (const values of cases) {
    const order = [...values.keys()].sort((i, j) => values[i] - values[j]);
    const rejected = values.map(() => false);
    for (const [rank, index] of order.entries()) {
      if (values[index] > level / (values.length - rank)) break;
      rejected[index] = true;
    }
    assertEquals(holm(values).map((p) => p <= level), rejected, String(values));
  }
  assertEquals(holm([0.6, 0.6]), [1, 1]);
  assertThrows(() => holm([0.2, 1.5]), RangeError, "p-value 1.5");
});
