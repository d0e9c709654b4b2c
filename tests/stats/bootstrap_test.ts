import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../lib/data/random.ts";
import { bootstrapDifference } from "../../lib/stats/bootstrap.ts";
import { meanInterval } from "../../lib/stats/mean_interval.ts";

const rows = (seeds: number, examples: number, cell: (s: number, i: number) => number) =>
  Array.from(
    { length: seeds },
    (_, s) => Uint8Array.from({ length: examples }, (_, i) => cell(s, i)),
  );

Deno.test("bootstrapDifference() finds no difference of a method from itself", () => {
  const method = rows(3, 50, (s, i) => Number((s + i) % 7 > 0));
  assertEquals(bootstrapDifference(method, method), { difference: 0, lower: 0, upper: 0, p: 1 });
});

Deno.test("bootstrapDifference() is the same for the same seed, and mirrors", () => {
  const random = new Random(0, "mirror");
  const first = rows(4, 300, () => Number(random.uniform() < 0.9));
  const second = rows(4, 300, () => Number(random.uniform() < 0.8));
  const found = bootstrapDifference(first, second);
  assertEquals(bootstrapDifference(first, second), found);
  const other = bootstrapDifference(second, first);
  assertEquals(other.difference, -found.difference);
  assertAlmostEquals(other.lower, -found.upper, 0.004); // the tails are drawn from both sides
  assertAlmostEquals(other.p, found.p, 0.01);
  assert(found.lower > 0 && found.p < 0.05, JSON.stringify(found));
  const sure = bootstrapDifference(rows(3, 40, () => 1), rows(3, 40, () => 0));
  assertEquals([sure.difference, sure.lower, sure.p], [1, 1, 1 / 10_001]);
});

Deno.test("bootstrapDifference() without seeds' influence is the t interval over examples", () => {
  // Equal rows: seeds add nothing, and the mean's variance is that of examples alone.
  const random = new Random(1, "examples");
  const [a, b] = [0.9, 0.8].map((p) =>
    Uint8Array.from({ length: 872 }, () => +(random.uniform() < p))
  );
  const found = bootstrapDifference([a, a, a], [b, b, b]);
  const expected = meanInterval([...a].map((right, i) => right - b[i]));
  assertAlmostEquals(found.difference, expected.mean, 1e-12);
  assertAlmostEquals(found.lower, expected.lower, 0.0015);
  assertAlmostEquals(found.upper, expected.upper, 0.0015);
});

Deno.test("bootstrapDifference() without examples' influence is the t interval over seeds", () => {
  // Each seed's difference lies on its own share of equally many examples.
  const random = new Random(2, "seeds");
  const shares = [0.02, 0.05, 0.01, 0.04, 0.03, 0.06];
  const place = () => random.shuffle(Array.from({ length: 20_000 }, (_, i) => i));
  const first = shares.map((share) => {
    const row = new Uint8Array(20_000);
    for (const i of place().slice(0, 20_000 * share)) row[i] = 1;
    return row;
  });
  const found = bootstrapDifference(first, rows(6, 20_000, () => 0), { replicates: 3000 });
  const expected = meanInterval(shares);
  assertAlmostEquals(found.difference, expected.mean, 1e-12);
  assertAlmostEquals(found.lower, expected.lower, 0.003);
  assertAlmostEquals(found.upper, expected.upper, 0.003);
});

Deno.test("bootstrapDifference() refuses tables that do not fit", () => {
  const one = rows(1, 9, () => 1);
  assertThrows(() => bootstrapDifference(one, one), RangeError, "1 seeds and 9 examples");
  assertThrows(
    () => bootstrapDifference(rows(2, 9, () => 1), rows(3, 9, () => 1)),
    TypeError,
    "Cannot compare 2 seeds with 3",
  );
  assertThrows(
    () => bootstrapDifference(rows(2, 9, () => 1), rows(2, 8, () => 1)),
    TypeError,
    "the same examples",
  );
});
