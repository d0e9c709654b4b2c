import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { mcnemar } from "../../lib/stats/mcnemar.ts";

Deno.test("mcnemar() gives the example of Fagerland, Lydersen and Laake (2013)", () => {
  // Airway hyper-responsiveness before and after stem cell transplantation: 7 and 1 discordant
  // pairs of 21; the exact conditional test's p is 0.070.
  assertAlmostEquals(mcnemar(1, 7), 0.0703125, 1e-15);
  assertAlmostEquals(mcnemar(7, 1), 0.0703125, 1e-15);
});

Deno.test("mcnemar() sums binomial coefficients exactly", () => {
  for (const [b, c] of [[0, 0], [0, 5], [3, 3], [4, 9], [12, 25], [20, 21]]) {
    const n = BigInt(b + c);
    let [choose, sum] = [1n, 0n];
    for (let k = 0n; k <= Math.min(b, c); k++) {
      sum += choose;
      choose = choose * (n - k) / (k + 1n);
    }
    const expected = Math.min(1, 2 * Number(sum) / 2 ** (b + c));
    assertAlmostEquals(mcnemar(b, c), expected, 1e-12 * expected, `${b}, ${c}`);
  }
});

Deno.test("mcnemar() holds where 2^-n underflows", () => {
  assertEquals(mcnemar(5000, 5000), 1);
  // Near the normal limit, with its correction: z = (200 − 1)/√10000, p = 0.04659.
  assertAlmostEquals(mcnemar(4900, 5100), 0.04659, 5e-5);
  const p = mcnemar(500, 1500);
  assertEquals(p > 0 && p < 1e-100, true);
  assertThrows(() => mcnemar(-1, 2), RangeError, "whole numbers of at least 0");
  assertThrows(() => mcnemar(1.5, 2), RangeError, "1.5 against 2");
});
