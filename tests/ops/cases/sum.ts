import type { OpCase } from "../../op_cases.ts";
import { sum } from "../../../lib/ops/sum.ts";

const shape = [3, 65, 7];

export const cases: readonly OpCase[] = [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3]].map(
  ([start, end]) => {
    const size = (first: number, last: number) =>
      shape.slice(first, last).reduce((a, b) => a * b, 1);
    const [length, inner] = [size(start, end), size(end, 3)];
    return {
      name: `sum of axes ${start} to ${end - 1}`,
      inputs: [{ shape }],
      build: ([x]) => sum(x, start, end),
      reference: ([x]) => {
        const out = new Float64Array(x.length / length);
        x.forEach((v, i) => out[Math.floor(i / (length * inner)) * inner + i % inner] += v);
        return out;
      },
      atol: 1e-4,
    };
  },
);
