import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { sampleStratified, splitStratified } from "../../lib/data/stratify.ts";

const examplesOf = (labels: number[]) => labels.map((label, id) => ({ text: `t${id}`, label, id }));
const countOf = (examples: { label: number }[], label: number) =>
  examples.filter((e) => e.label === label).length;

Deno.test("sampleStratified() keeps each class's share within one", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: 20, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(50),
      (labels, share, seed) => {
        const examples = examplesOf(labels);
        const classes = new Set(labels);
        const size = Math.max(classes.size, Math.round(share * labels.length));
        const sample = sampleStratified(examples, size, seed);
        assertEquals(sample.length, size);
        assertEquals(sample, sample.toSorted((a, b) => a.id - b.id));
        assertEquals(new Set(sample.map((e) => e.id)).size, size);
        for (const label of classes) {
          const quota = countOf(examples, label) * size / labels.length;
          assert(countOf(sample, label) >= 1);
          // Beyond one only where small classes were given their single example.
          assert(Math.abs(countOf(sample, label) - quota) <= classes.size);
          if (quota >= classes.size) assert(countOf(sample, label) >= quota - classes.size);
        }
        assertEquals(sampleStratified(examples, size, seed), sample);
      },
    ),
    { numRuns: 200, seed: 8 },
  );
  const half = examplesOf(Array.from({ length: 1000 }, (_, i) => i < 700 ? 0 : 1));
  assertEquals(countOf(sampleStratified(half, 100, 0), 0), 70);
  assertNotEquals(sampleStratified(half, 100, 0), sampleStratified(half, 100, 1));
});

Deno.test("splitStratified() divides, with every class on both sides", () => {
  const examples = examplesOf(Array.from({ length: 100 }, (_, i) => i < 3 ? 1 : 0));
  const [part, rest] = splitStratified(examples, 10, 0, "validation");
  assertEquals([part.length, rest.length], [10, 90]);
  assertEquals([...part, ...rest].toSorted((a, b) => a.id - b.id), examples);
  assert(countOf(part, 1) >= 1 && countOf(rest, 1) >= 1);
  const [most, few] = splitStratified(examples, 98, 0, "validation");
  assertEquals([countOf(most, 1), countOf(few, 0), countOf(few, 1)], [2, 1, 1]);
});

Deno.test("sizes that cannot be are refused", () => {
  const examples = examplesOf([0, 0, 0, 1, 1]);
  for (const size of [0, 1, 6, 2.5, NaN]) {
    assertThrows(
      () => sampleStratified(examples, size, 0),
      RangeError,
      "from 2 (one for each class) to 5",
    );
  }
  for (const size of [1, 4, 2.5]) {
    assertThrows(() => splitStratified(examples, size, 0, "s"), RangeError);
  }
  assertThrows(() => splitStratified(examplesOf([0, 0, 0, 1]), 2, 0, "s"), RangeError, "must stay");
});
