import type { OpCase } from "../../op_cases.ts";
import { embedding } from "../../../lib/ops/embedding.ts";
import { symbol } from "../../../lib/graph/shape.ts";

/** Ids that repeat, include both ends of the table and leave rows out. */
function someIds(count: number, height: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * i * 7 + (i >> 1)) % height)
    .map((id, i) => i === 1 ? height - 1 : i === 2 ? 0 : id);
}

function lookup(height: number, width: number, count: number, maxBinding?: number): OpCase {
  return {
    name: `embedding [${height},${width}] of ${count} ids${maxBinding ? ", sharded" : ""}`,
    maxBinding,
    inputs: [
      { shape: [height, width] },
      { shape: [count], dtype: "u32", values: someIds(count, height) },
    ],
    build: ([table, ids]) => embedding(table, ids),
    reference: ([table, ids]) =>
      Array.from(
        { length: count * width },
        (_, e) => table[ids[Math.floor(e / width)] * width + e % width],
      ),
    atol: 0,
    rtol: 0,
  };
}

export const cases: readonly OpCase[] = [
  lookup(1, 1, 3),
  lookup(37, 5, 13),
  lookup(5, 66, 129),
  lookup(300, 64, 77, 32768),
  {
    name: "embedding of ids [B,T]",
    sizes: { B: 3, T: 5 },
    inputs: [
      { shape: [9, 8] },
      { shape: [symbol("B"), symbol("T")], dtype: "u32", values: someIds(15, 9) },
    ],
    build: ([table, ids]) => embedding(table, ids),
    reference: ([table, ids]) =>
      Array.from({ length: 120 }, (_, e) => table[ids[e >> 3] * 8 + e % 8]),
  },
];
