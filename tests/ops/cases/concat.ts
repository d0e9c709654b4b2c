import type { OpCase } from "../../op_cases.ts";
import { concat, pad, slice } from "../../../lib/ops/concat.ts";
import { reshape } from "../../../lib/ops/reshape.ts";

export const cases: readonly OpCase[] = [
  {
    name: "concat [2,3,5] and [2,4,5]",
    inputs: [{ shape: [2, 3, 5] }, { shape: [2, 4, 5] }],
    build: ([a, b]) => concat(a, b, 1),
    reference: ([a, b]) =>
      Array.from({ length: 70 }, (_, e) => {
        const [o, t, i] = [Math.floor(e / 35), Math.floor(e / 5) % 7, e % 5];
        return t < 3 ? a[(o * 3 + t) * 5 + i] : b[(o * 4 + t - 3) * 5 + i];
      }),
  },
  {
    name: "slice 3 to 6 of [2,9,5]",
    inputs: [{ shape: [2, 9, 5] }],
    build: ([x]) => slice(x, 1, 3, 4),
    reference: ([x]) =>
      Array.from(
        { length: 40 },
        (_, e) => x[(Math.floor(e / 20) * 9 + 3 + Math.floor(e / 5) % 4) * 5 + e % 5],
      ),
  },
  {
    name: "pad [2,4,5] to [2,9,5]",
    inputs: [{ shape: [2, 4, 5] }],
    build: ([x]) => pad(x, 1, 3, 9),
    reference: ([x]) =>
      Array.from({ length: 90 }, (_, e) => {
        const [o, t, i] = [Math.floor(e / 45), Math.floor(e / 5) % 9, e % 5];
        return t < 3 || t >= 7 ? 0 : x[(o * 4 + t - 3) * 5 + i];
      }),
  },
  {
    // A view has no memory of its own: its gradient must go through one that has.
    name: "reshape [4,6] to [3,8]",
    inputs: [{ shape: [4, 6] }, { shape: [3, 1] }],
    build: ([x, b]) => concat(b, reshape(x, [3, 8]), 1),
    reference: ([x, b]) =>
      Array.from({ length: 27 }, (_, e) => {
        const [row, column] = [Math.floor(e / 9), e % 9];
        return column === 0 ? b[row] : x[row * 8 + column - 1];
      }),
  },
];
