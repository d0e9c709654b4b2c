import type { OpCase } from "../../op_cases.ts";
import { add, multiply, scale } from "../../../lib/ops/elementwise.ts";
import { joinRows, rows } from "../../../lib/ops/rows.ts";

/** Each row times a factor of its share. */
const scaled = (factors: readonly number[], row: number) => (x: Float64Array): number[] =>
  Array.from(x, (value, e) => value * factors[Math.floor(e / row)]);

export const cases: readonly OpCase[] = [
  {
    // 4 · 64 bytes: what a buffer can be bound at, and what follows from it is computed at its place.
    name: "rows 4 to 7 of [12,16]",
    inputs: [{ shape: [12, 16] }],
    build: ([x]) => rows(x, 1, { of: 3, count: 4 }),
    reference: ([x]) => x.slice(64, 128),
  },
  {
    name: "rows 2 and 3 of [6,3], copied",
    inputs: [{ shape: [6, 3] }],
    build: ([x]) => scale(rows(x, 1, { of: 3, count: 2 }), 2),
    reference: ([x]) => x.slice(6, 12).map((value) => 2 * value),
  },
  ...([[64, "computed at their places"], [5, "copied"]] as const).map(([row, how]): OpCase => ({
    name: `shares of [6,${row}] joined again, ${how}`,
    inputs: [{ shape: [6, row] }],
    build: ([x]) =>
      joinRows(
        [2, 0, 1].map((index) => ({
          index,
          part: scale(rows(x, index, { of: 3, count: 2 }), index + 2),
        })),
        6,
        { of: 3, count: 2 },
      ),
    reference: ([x]) => scaled([2, 3, 4], 2 * row)(x),
  })),
  ...([64, 5] as const).map((row): OpCase => ({
    name: `one share of [6,${row}], zero elsewhere`,
    inputs: [{ shape: [2, row] }, { shape: [6, row] }],
    build: ([part, x]) => add(joinRows([{ index: 1, part }], 6, { of: 3, count: 2 }), x),
    reference: ([part, x]) => x.map((value, e) => value + (part[e - 2 * row] ?? 0)),
  })),
  {
    name: "shares that read each other",
    inputs: [{ shape: [4, 64] }],
    build: ([x]) => {
      const first = scale(rows(x, 0, { of: 2, count: 2 }), 3);
      const second = multiply(first, rows(x, 1, { of: 2, count: 2 }));
      const joined = joinRows([{ index: 0, part: first }, { index: 1, part: second }], 4, {
        of: 2,
        count: 2,
      });
      return multiply(joined, x);
    },
    reference: ([x]) => x.map((value, e) => value * (e < 128 ? 3 * value : 3 * x[e - 128] * value)),
  },
];
