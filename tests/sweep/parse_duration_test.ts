import { assertEquals, assertThrows } from "@std/assert";
import { parseDuration } from "../../lib/sweep/parse_duration.ts";

Deno.test("parseDuration() reads seconds, minutes, hours and days", () => {
  assertEquals(["90s", "20m", "1.5h", "2d", ".5m"].map((text) => parseDuration(text, "--budget")), [
    ...[90, 1200, 5400, 172_800, 30],
  ]);
  for (const text of ["", "20", "m", "-1m", "0s", "1w", "1 m", "1h30m"]) {
    assertThrows(() => parseDuration(text, "--budget"), RangeError, `--budget "${text}"`);
  }
});
