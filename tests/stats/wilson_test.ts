import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { wilson } from "../../lib/stats/wilson.ts";

Deno.test("wilson() gives Newcombe's examples (Statistics in Medicine 17, 1998, table I)", () => {
  const examples: [number, number, number, number][] = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ];
  for (const [k, n, lower, upper] of examples) {
    const found = wilson(k, n);
    assertAlmostEquals(found.lower, lower, 5e-5, `${k}/${n}`);
    assertAlmostEquals(found.upper, upper, 5e-5, `${k}/${n}`);
  }
});

Deno.test("wilson() mirrors, and stays between 0 and 1", () => {
  const [few, most] = [wilson(3, 40), wilson(37, 40)];
  assertAlmostEquals(few.lower, 1 - most.upper, 1e-15);
  assertAlmostEquals(few.upper, 1 - most.lower, 1e-15);
  for (const n of [1, 7, 872]) {
    assertEquals([wilson(0, n).lower, wilson(n, n).upper], [0, 1]);
  }
  assertThrows(() => wilson(3, 2), RangeError, "interval of 3 of 2");
  assertThrows(() => wilson(0, 0), RangeError, "interval of 0 of 0");
});
