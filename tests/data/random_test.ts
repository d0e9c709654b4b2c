import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { createHash } from "node:crypto";
import { Random } from "../../lib/data/random.ts";

/** xoshiro128** 1.1 in exact integers, as the paper defines it. */
function* xoshiro(state: bigint[]): Generator<number> {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, k: bigint) => (x << k | x >> 32n - k) & mask;
  const s = [...state];
  for (;;) {
    yield Number(rotate(s[1] * 5n & mask, 7n) * 9n & mask);
    const t = s[1] << 9n & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
  }
}

const take = (n: number, numbers: Generator<number>) =>
  Array.from({ length: n }, () => numbers.next().value);

Deno.test("uint32() is xoshiro128** seeded by SHA-256", () => {
  // From state 1, 2, 3, 4, worked out by hand: rotl(2·5, 7)·9 = 11520; then s1 = 0; then s1 = 1029.
  assertEquals(take(3, xoshiro([1n, 2n, 3n, 4n])), [11520, 0, 5927040]);
  const key = createHash("sha256").update('[7,"a",1]').digest();
  const state = [0, 4, 8, 12].map((at) => BigInt(key.readUInt32BE(at)));
  const random = new Random(7, "a", 1);
  assertEquals(Array.from({ length: 200 }, () => random.uint32()), take(200, xoshiro(state)));
});

Deno.test("Random keeps its numbers for ever", () => {
  const random = new Random(0, "pinned");
  const drawn = [random.uint32(), random.uniform(), random.normal(), random.below(1000)];
  assertEquals(drawn, [1411406916, 0.09912042816197242, -0.992262912731264, 710]);
});

Deno.test("streams are told apart by seed and names", () => {
  const first = (seed: number, ...names: (string | number)[]) =>
    new Random(seed, ...names).uint32();
  assertEquals(first(1, "a"), first(1, "a"));
  const all = [
    first(0),
    first(1),
    first(1, "a"),
    first(1, "b"),
    first(1, "a", "b"),
    first(1, "ab"),
    first(1, 1),
  ];
  assertEquals(new Set(all).size, all.length);
  assertThrows(() => new Random(0.5), RangeError, "Cannot seed random numbers with 0.5");
  assertThrows(() => new Random(2 ** 60), RangeError, "whole number");
});

Deno.test("uniform(), normal() and below() have their distributions", () => {
  const random = new Random(3, "moments");
  const n = 40_000;
  const moments = (xs: number[]) => {
    const mean = xs.reduce((a, b) => a + b) / n;
    return [mean, xs.reduce((a, b) => a + (b - mean) ** 2, 0) / n];
  };
  // Five standard errors of each estimate.
  const uniform = Array.from({ length: n }, () => random.uniform(-1, 1));
  assert(uniform.every((x) => x >= -1 && x < 1));
  const [um, uv] = moments(uniform);
  assertAlmostEquals(um, 0, 5 * Math.sqrt(1 / 3 / n));
  assertAlmostEquals(uv, 1 / 3, 5 * Math.sqrt(4 / 45 / n));
  const normal = Array.from({ length: n }, () => random.normal(2, 3));
  const [nm, nv] = moments(normal);
  assertAlmostEquals(nm, 2, 5 * 3 / Math.sqrt(n));
  assertAlmostEquals(nv, 9, 5 * 9 * Math.sqrt(2 / n));
  assertAlmostEquals(normal.filter((x) => Math.abs(x - 2) < 3).length / n, 0.6827, 0.012);
  const counts = Array(7).fill(0);
  for (let i = 0; i < n; i++) counts[random.below(7)]++;
  const chi2 = counts.reduce((a, c) => a + (c - n / 7) ** 2 / (n / 7), 0);
  assert(chi2 < 22.5, `chi² ${chi2}`); // 0.1 % of chi² with 6 degrees of freedom
  assertThrows(() => random.below(0), RangeError);
  assert(random.below(2 ** 32) >= 0 && random.below(1) === 0);
});

Deno.test("shuffle() gives each order equally often, in place", () => {
  const random = new Random(5);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const key = random.shuffle([0, 1, 2]).join("");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assertEquals([...counts.keys()].sort(), ["012", "021", "102", "120", "201", "210"]);
  for (const count of counts.values()) assertAlmostEquals(count, 1000, 150);
  const items = Array.from({ length: 50 }, (_, i) => i);
  assertEquals(random.shuffle(items), items);
  assertNotEquals(items, items.toSorted((a, b) => a - b));
});
