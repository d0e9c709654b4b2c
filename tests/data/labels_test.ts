import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { compareLabels, mapLabels } from "../../lib/data/labels.ts";

Deno.test("mapLabels() sorts numbers by value and before words", () => {
  assertEquals(mapLabels(["pos", "neg", "pos"]).names, ["neg", "pos"]);
  assertEquals(mapLabels(["10", "9", "-1", "2.5"]).names, ["-1", "2.5", "9", "10"]);
  assertEquals(mapLabels(["class10", "class2", "7", "Class1"]).names, [
    "7",
    "Class1",
    "class2",
    "class10",
  ]);
  const { ids } = mapLabels(["b", "a"]);
  assertEquals([...ids], [["a", 0], ["b", 1]]);
  assertEquals([...mapLabels([], ["yes", "no"]).ids], [["yes", 0], ["no", 1]]);
});

Deno.test("mapLabels() refuses what is no classification", () => {
  assertThrows(() => mapLabels(["a", "a"]), RangeError, "found 1 (a)");
  assertThrows(() => mapLabels([]), RangeError, "found 0");
  assertThrows(() => mapLabels([], ["a", "b", "a"]), RangeError, "given twice");
  const many = Array.from({ length: 1001 }, (_, i) => `text ${i}`);
  assertThrows(
    () => mapLabels(many),
    RangeError,
    "found 1001 (text 0, text 1, text 2, …); choose another",
  );
});

Deno.test("compareLabels() is a total order", () => {
  const label = fc.oneof(
    fc.constantFrom("1", "01", "1.0", "-1", "a1", "a01", "a", "", "1a", "a10", "b"),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(label, label, label, (a, b, c) => {
      assertEquals(Math.sign(compareLabels(a, b)), -Math.sign(compareLabels(b, a)) + 0);
      assertEquals(compareLabels(a, b) === 0, a === b);
      if (compareLabels(a, b) < 0 && compareLabels(b, c) < 0) {
        assertEquals(compareLabels(a, c) < 0, true);
      }
    }),
    { numRuns: 1000, seed: 3 },
  );
});
