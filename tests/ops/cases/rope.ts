import type { OpCase } from "../../op_cases.ts";
import { rope, rotaryFrequencies } from "../../../lib/ops/rope.ts";
import { symbol } from "../../../lib/graph/shape.ts";

const shapes: [number, number, number, number, number][] = [
  [1, 1, 1, 2, 3],
  [2, 5, 3, 8, 0],
  [2, 7, 1, 6, 10],
  [1, 9, 2, 66, 0],
  [3, 4, 2, 16, 0],
];

export const cases: readonly OpCase[] = shapes.map(([B, T, H, D, offset]) => {
  const frequencies = rotaryFrequencies({ headSize: D, theta: 100 });
  return {
    name: `rope [${[B, T, H, D]}] from ${offset}`,
    sizes: { B, T },
    inputs: [{ shape: [symbol("B"), symbol("T"), H, D] }],
    build: ([x]) => rope(x, frequencies, offset),
    reference: ([x]) =>
      x.map((value, e) => {
        const [d, t] = [e % D, Math.floor(e / (D * H)) % T];
        const angle = (t + offset) * 100 ** (-2 * (d % (D / 2)) / D);
        const other = d < D / 2 ? -x[e + D / 2] : x[e - D / 2];
        return value * Math.cos(angle) + other * Math.sin(angle);
      }),
  };
});
