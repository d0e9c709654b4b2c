import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { tQuantile, tWithin } from "../../lib/stats/student_t.ts";

Deno.test("tQuantile() gives the usual tables' values (Abramowitz and Stegun, table 26.10)", () => {
  const table: [number, number, number][] = [
    [0.95, 1, 12.706],
    [0.95, 2, 4.303],
    [0.95, 3, 3.182],
    [0.95, 4, 2.776],
    [0.95, 9, 2.262],
    [0.95, 10, 2.228],
    [0.95, 30, 2.042],
    [0.95, 120, 1.98],
    [0.9, 5, 2.015],
    [0.99, 1, 63.657],
    [0.99, 9, 3.25],
    [0.99, 60, 2.66],
    [0.5, 7, 0.711],
  ];
  for (const [level, freedom, expected] of table) {
    assertAlmostEquals(tQuantile(level, freedom), expected, 0.0005, `${level}, ${freedom}`);
  }
  // What it tends to: the standard normal quantile.
  assertAlmostEquals(tQuantile(0.95, 1_000_000), 1.959964, 1e-5);
});

Deno.test("tWithin() undoes tQuantile(), and has its closed forms", () => {
  for (const freedom of [1, 2, 3, 4, 9, 50]) {
    for (const level of [0, 0.3, 0.95, 0.999]) {
      assertAlmostEquals(tWithin(tQuantile(level, freedom), freedom), level, 1e-12);
    }
  }
  assertAlmostEquals(tWithin(1, 1), 0.5, 1e-15); // Cauchy: 2/π·atan t
  assertAlmostEquals(tWithin(2, 2), 2 / Math.sqrt(6), 1e-15); // t/√(2 + t²)
  assertEquals(tWithin(Infinity, 3), 1);
});

Deno.test("quantiles refuse what is no probability or degree of freedom", () => {
  assertThrows(() => tQuantile(1, 3), RangeError, "level 1: must be from 0 to below 1");
  assertThrows(() => tQuantile(0.95, 0), RangeError, "0 degrees of freedom");
  assertThrows(() => tQuantile(0.95, 2.5), RangeError, "2.5 degrees of freedom");
  assertThrows(() => tWithin(-1, 3), RangeError, "t -1: must be at least 0");
});
