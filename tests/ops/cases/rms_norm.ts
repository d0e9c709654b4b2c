import type { OpCase } from "../../op_cases.ts";
import { symbol } from "../../../lib/graph/shape.ts";
import { rmsNorm } from "../../../lib/ops/rms_norm.ts";

function reference(x: Float64Array, w: Float64Array, epsilon: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let base = 0; base < x.length; base += w.length) {
    let squares = 0;
    for (let c = 0; c < w.length; c++) squares += x[base + c] ** 2;
    const r = 1 / Math.sqrt(squares / w.length + epsilon);
    for (let c = 0; c < w.length; c++) y[base + c] = x[base + c] * r * w[c];
  }
  return y;
}

// More rows than the weight's gradient has segments (64), and widths around the workgroup's size
// and around the length (256) from which a row has a workgroup of its own.
const shapes: [number, number, number][] = [
  [1, 1, 2],
  [3, 5, 7],
  [1, 63, 64],
  [2, 65, 65],
  [1, 129, 63],
  [2, 3, 256],
  [3, 2, 257],
  [1, 2, 500],
];

export const cases: readonly OpCase[] = [
  ...shapes.map(([B, T, C]): OpCase => ({
    name: `rms_norm [${[B, T, C]}]`,
    sizes: { B, T },
    inputs: [{ shape: [symbol("B"), symbol("T"), C] }, { shape: [C] }],
    build: ([x, w]) => rmsNorm(x, w, 1e-6),
    reference: ([x, w]) => reference(x, w, 1e-6),
  })),
  {
    // An epsilon as large as the values: a wrong one, or one at the wrong place, shows.
    name: "rms_norm with a large epsilon",
    inputs: [{ shape: [4, 33] }, { shape: [33] }],
    build: ([x, w]) => rmsNorm(x, w, 1),
    reference: ([x, w]) => reference(x, w, 1),
  },
];
