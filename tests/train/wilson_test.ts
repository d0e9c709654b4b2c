import { assertAlmostEquals, assertEquals } from "@std/assert";
import { wilson } from "../../lib/train/wilson.ts";

Deno.test("wilson() bounds hold p̂ = p ± z·√(p(1−p)/n) at each end", () => {
  // What defines the interval: at a bound p, the observed share is z deviations of p away.
  for (const [share, count] of [[0.9, 872], [0.5, 10], [0.02, 50], [0.999, 5000]]) {
    for (const bound of wilson(share, count)) {
      const deviations = Math.abs(share - bound) / Math.sqrt(bound * (1 - bound) / count);
      assertAlmostEquals(deviations, 1.959963984540054, 1e-9);
    }
  }
});

Deno.test("wilson() stays within 0 and 1, and is not empty at the ends", () => {
  const [low, high] = wilson(1, 20);
  assertEquals(high, 1);
  // 1 / (1 + z²/n)
  assertAlmostEquals(low, 20 / (20 + 1.959963984540054 ** 2), 1e-12);
  assertEquals(wilson(0, 20)[0], 0);
});
