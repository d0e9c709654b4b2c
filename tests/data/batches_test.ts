import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { bucketOf, planEpoch, planEvaluation } from "../../lib/data/batches.ts";

const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 120 });
const batchSize = fc.integer({ min: 1, max: 40 });

Deno.test("bucketOf() gives few lengths, each at least what is asked", () => {
  const buckets = new Set<number>();
  for (let length = 1; length <= 512; length++) {
    const bucket = bucketOf(length);
    assert(bucket >= length && bucketOf(bucket) === bucket && bucket % 8 === 0);
    if (length > 8) assert(bucket < 2 * length);
    if (length > 16) assert(bucket < 1.5 * length);
    buckets.add(bucket);
  }
  assertEquals([...buckets], [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]);
  for (const bad of [0, -1, 1.5, NaN]) {
    assertThrows(() => bucketOf(bad), RangeError, `${bad} tokens`);
  }
});

Deno.test("no bucket is longer than a model's positions", () => {
  assertEquals([3, 9, 17, 19].map((length) => bucketOf(length, 19)), [8, 16, 19, 19]);
  assertEquals(bucketOf(2, 5), 5);
  assertThrows(
    () => bucketOf(20, 19),
    RangeError,
    "20 tokens: at least 1 is needed, and at most 19",
  );
  const buckets = (batches: readonly { bucketLength: number }[]) =>
    batches.map(({ bucketLength }) => bucketLength);
  const plan = { batchSize: 1, seed: 0, epoch: 0, shuffle: false, longest: 19 };
  assertEquals(buckets(planEpoch([18, 3], plan)), [8, 19]);
  assertEquals(buckets(planEvaluation([18, 3], 1, 19)), [8, 19]);
});

Deno.test("an epoch has each example once, in ceil(n / batchSize) batches that fit", () => {
  fc.assert(
    fc.property(
      lengths,
      batchSize,
      fc.nat(99),
      fc.boolean(),
      (lengths, batchSize, seed, shuffle) => {
        const plan = { batchSize, seed, epoch: 1, shuffle };
        const batches = planEpoch(lengths, plan);
        assertEquals(batches.length, Math.ceil(lengths.length / batchSize));
        const all = batches.flatMap(({ indices }) => indices);
        assertEquals(all.toSorted((a, b) => a - b), lengths.map((_, i) => i));
        assert(batches.filter(({ indices }) => indices.length < batchSize).length <= 1);
        const used = new Set(lengths.map((length) => bucketOf(length)));
        for (const { bucketLength, indices } of batches) {
          assert(indices.length > 0 && used.has(bucketLength));
          assert(indices.every((i) => lengths[i] <= bucketLength));
        }
        assertEquals(planEpoch(lengths, plan), batches);
      },
    ),
    { numRuns: 200, seed: 5 },
  );
});

Deno.test("only left-over examples move to a larger bucket, and less than a batch of them", () => {
  fc.assert(
    fc.property(lengths, batchSize, (lengths, batchSize) => {
      const batches = planEpoch(lengths, { batchSize, seed: 0, epoch: 0 });
      for (const bucket of new Set(lengths.map((length) => bucketOf(length)))) {
        const moved = batches.filter(({ bucketLength }) => bucketLength > bucket)
          .flatMap(({ indices }) => indices.filter((i) => bucketOf(lengths[i]) <= bucket));
        assert(moved.length < batchSize, `${moved.length} moved beyond ${bucket}`);
      }
    }),
    { numRuns: 200, seed: 6 },
  );
});

Deno.test("epochs and seeds have their own orders; without shuffling the order is kept", () => {
  const lengths = Array.from({ length: 64 }, (_, i) => 1 + i % 30);
  const plan = (seed: number, epoch: number) => planEpoch(lengths, { batchSize: 8, seed, epoch });
  assertNotEquals(plan(0, 0), plan(0, 1));
  assertNotEquals(plan(0, 0), plan(1, 0));
  assertEquals(planEpoch([3, 20, 5, 3], { batchSize: 2, seed: 0, epoch: 0, shuffle: false }), [
    { bucketLength: 8, indices: [0, 2] },
    { bucketLength: 24, indices: [3, 1] },
  ]);
  assertEquals(planEpoch([], { batchSize: 2, seed: 0, epoch: 0 }), []);
  assertThrows(
    () => planEpoch([1], { batchSize: 0, seed: 0, epoch: 0 }),
    RangeError,
    "batches of 0",
  );
});

Deno.test("evaluation keeps each example in the bucket of its own length", () => {
  fc.assert(
    fc.property(lengths, batchSize, (lengths, batchSize) => {
      const batches = planEvaluation(lengths, batchSize);
      assertEquals(
        batches.flatMap(({ indices }) => indices).sort((a, b) => a - b),
        lengths.map((_, i) => i),
      );
      for (const { bucketLength, indices } of batches) {
        assert(indices.length <= batchSize);
        assert(indices.every((i) => bucketOf(lengths[i]) === bucketLength));
      }
    }),
    { numRuns: 100, seed: 7 },
  );
});
