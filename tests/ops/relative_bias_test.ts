import { assert, assertEquals, assertThrows } from "@std/assert";
import { fixtureTest } from "../fixtures.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/relative_bias.ts";
import { input } from "../../lib/graph/leaves.ts";
import { relativeBias, relativeBucket } from "../../lib/ops/relative_bias.ts";

testCases("relativeBias()", cases);

Deno.test("relativeBucket() is exact near, logarithmic far, and keeps sides apart", () => {
  const both = (distance: number) => relativeBucket(distance, true, 32, 128);
  assertEquals([0, -1, -7, 1, 7].map(both), [0, 1, 7, 17, 23]);
  // 8 to 128 in eight steps of 2^(1/2): 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5.
  assertEquals([8, 11, 12, 15, 16, 22, 23, 32, 64, 90, 91, 127, 128, 5000].map((d) => both(-d)), [
    ...[8, 8, 9, 9, 10, 10, 11, 12, 14, 14, 15, 15, 15, 15],
  ]);
  const back = (distance: number) => relativeBucket(distance, false, 32, 128);
  assertEquals([5, 1, 0, -1, -15, -16, -1000].map(back), [0, 0, 0, 1, 15, 16, 31]);
});

Deno.test("relativeBucket() and relativeBias() refuse settings without sense", () => {
  assertThrows(
    () => relativeBucket(1, true, 2, 128),
    RangeError,
    "Cannot put distances up to 128 into 2 buckets: there must be at least 4 buckets",
  );
  assertThrows(() => relativeBucket(1, false, 32, 16), RangeError, "distances above 16");
  assertThrows(
    () =>
      relativeBias(input("table", [32], "f32"), {
        queries: 4,
        keys: 4,
        bidirectional: true,
        maxDistance: 128,
      }),
    TypeError,
    "Cannot take a relative bias from [32]: it must be [buckets, heads]",
  );
});

fixtureTest("relativeBucket() gives every bucket of transformers' T5", (folder) => {
  const table = JSON.parse(
    Deno.readTextFileSync(`${folder}/golden/tables/t5_relative_buckets.json`),
  );
  assert(table.buckets.length > 0);
  for (const { num_buckets, max_distance, bidirectional, bucket } of table.buckets) {
    const found = table.relative_position.map((distance: number) =>
      relativeBucket(distance, bidirectional, num_buckets, max_distance)
    );
    assertEquals(found, bucket, `${num_buckets} buckets, ${max_distance}, ${bidirectional}`);
  }
});
