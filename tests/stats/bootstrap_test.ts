import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../lib/data/random.ts";
import { bootstrapDifferences, type BootstrapOptions } from "../../lib/stats/bootstrap.ts";
import { meanInterval } from "../../lib/stats/mean_interval.ts";

const compare = (first: Uint8Array[], second: Uint8Array[], options?: BootstrapOptions) =>
  bootstrapDifferences(first, [second], options)[0];

const rows = (seeds: number, examples: number, cell: (s: number, i: number) => number) =>
  Array.from(
    { length: seeds },
    (_, s) => Uint8Array.from({ length: examples }, (_, i) => cell(s, i)),
  );

Deno.test("bootstrapDifferences() finds no difference of a method from itself", () => {
  const method = rows(3, 50, (s, i) => Number((s + i) % 7 > 0));
  assertEquals(compare(method, method), { difference: 0, lower: 0, upper: 0, p: 1 });
});

Deno.test("bootstrapDifferences() is the same for the same seed, and mirrors", () => {
  const random = new Random(0, "mirror");
  const first = rows(4, 300, () => Number(random.uniform() < 0.9));
  const second = rows(4, 300, () => Number(random.uniform() < 0.8));
  const found = compare(first, second);
  assertEquals(compare(first, second), found);
  const other = compare(second, first);
  assertEquals(other.difference, -found.difference);
  assertAlmostEquals(other.lower, -found.upper, 0.004); // the tails are drawn from both sides
  assertAlmostEquals(other.p, found.p, 0.01);
  assert(found.lower > 0 && found.p < 0.05, JSON.stringify(found));
  const sure = compare(rows(3, 40, () => 1), rows(3, 40, () => 0));
  assertEquals([sure.difference, sure.lower, sure.p], [1, 1, 1 / 10_001]);
});

Deno.test("bootstrapDifferences() without seeds' influence is the t interval over examples", () => {
  // Equal rows: seeds add nothing, and the mean's variance is that of examples alone.
  const random = new Random(1, "examples");
  const [a, b] = [0.9, 0.8].map((p) =>
    Uint8Array.from({ length: 872 }, () => +(random.uniform() < p))
  );
  const found = compare([a, a, a], [b, b, b]);
  const expected = meanInterval([...a].map((right, i) => right - b[i]));
  assertAlmostEquals(found.difference, expected.mean, 1e-12);
  assertAlmostEquals(found.lower, expected.lower, 0.0015);
  assertAlmostEquals(found.upper, expected.upper, 0.0015);
});

Deno.test("bootstrapDifferences() without examples' influence is the t interval over seeds", () => {
  // Each seed's difference lies on its own share of equally many examples.
  const random = new Random(2, "seeds");
  const shares = [0.02, 0.05, 0.01, 0.04, 0.03, 0.06];
  const place = () => random.shuffle(Array.from({ length: 20_000 }, (_, i) => i));
  const first = shares.map((share) => {
    const row = new Uint8Array(20_000);
    for (const i of place().slice(0, 20_000 * share)) row[i] = 1;
    return row;
  });
  const found = compare(first, rows(6, 20_000, () => 0), { replicates: 3000 });
  const expected = meanInterval(shares);
  assertAlmostEquals(found.difference, expected.mean, 1e-12);
  assertAlmostEquals(found.lower, expected.lower, 0.003);
  assertAlmostEquals(found.upper, expected.upper, 0.003);
});

Deno.test("bootstrapDifferences() refuses tables that do not fit", () => {
  const one = rows(1, 9, () => 1);
  assertThrows(() => compare(one, one), RangeError, "1 seeds and 9 examples");
  assertThrows(
    () => compare(rows(2, 9, () => 1), rows(3, 9, () => 1)),
    TypeError,
    "Cannot compare 2 seeds with 3",
  );
  assertThrows(
    () => compare(rows(2, 9, () => 1), rows(2, 8, () => 1)),
    TypeError,
    "the same examples",
  );
});

Deno.test("bootstrapDifferences() compares with several methods at once, on the same draws", () => {
  const random = new Random(3, "several");
  const [best, ...others] = [0.9, 0.85, 0.9].map((p) =>
    rows(3, 200, () => Number(random.uniform() < p))
  );
  const found = bootstrapDifferences(best, others);
  assertEquals(found.length, 2);
  assertEquals(found[0], compare(best, others[0]));
  const alone = compare(best, others[1]);
  assertEquals(found[1].difference, alone.difference);
  assertAlmostEquals(found[1].p, alone.p, 0.02);
  assertEquals(bootstrapDifferences(best, []), []);
});
