import { randomNormal } from "../../check_op.ts";
import type { OpCase } from "../../op_cases.ts";
import { symbol } from "../../../lib/graph/shape.ts";
import { scale } from "../../../lib/ops/elementwise.ts";
import { layerNorm } from "../../../lib/ops/layer_norm.ts";

function reference(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array,
  epsilon: number,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let base = 0; base < x.length; base += w.length) {
    const row = x.subarray(base, base + w.length);
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((a, value) => a + (value - mean) ** 2, 0) / row.length;
    const r = 1 / Math.sqrt(variance + epsilon);
    row.forEach((value, c) => y[base + c] = (value - mean) * r * w[c] + b[c]);
  }
  return y;
}

// More rows than the weight's gradient has segments (64), and widths around the workgroup's size
// and around the length (256) from which a row has a workgroup of its own.
const shapes: [number, number, number][] = [
  [1, 1, 3], // of two entries the gradient is all cancellation
  [3, 5, 7],
  [1, 63, 64],
  [2, 65, 65],
  [1, 129, 63],
  [2, 3, 256],
  [3, 2, 257],
  [1, 2, 500],
];

/** Rows that differ from an offset by some millionths: multiples of f32's step, so exact. */
function nearlyConstant(rows: number, width: number, offset: number): Float64Array {
  const step = 2 ** (Math.ceil(Math.log2(Math.abs(offset))) - 20);
  return randomNormal(rows * width).map((value) => offset + Math.round(2 * value) * step);
}

/** An epsilon of nearly constant rows, whose variance is far below the one and above the other. */
const nearlyConstantCase = (width: number, offset: number, epsilon: number): OpCase => ({
  name: `layer_norm of nearly constant rows of ${width} around ${offset}, epsilon ${epsilon}`,
  inputs: [
    // The central difference would step far over such a row; the tiny rows below have a gradient.
    { shape: [5, width], values: nearlyConstant(5, width, offset), constant: true },
    { shape: [width] },
    { shape: [width] },
  ],
  build: ([x, w, b]) => layerNorm(x, w, b, epsilon),
  reference: ([x, w, b]) => reference(x, w, b, epsilon),
});

export const cases: readonly OpCase[] = [
  ...shapes.map(([B, T, C]): OpCase => ({
    name: `layer_norm [${[B, T, C]}]`,
    sizes: { B, T },
    inputs: [{ shape: [symbol("B"), symbol("T"), C] }, { shape: [C] }, { shape: [C] }],
    build: ([x, w, b]) => layerNorm(x, w, b, 1e-5),
    reference: ([x, w, b]) => reference(x, w, b, 1e-5),
  })),
  ...[37, 300].flatMap((width) => [
    // Variances of some 1e-12: BERT's epsilon gives entries of about 1, GPT-2's of about 1e-3.
    nearlyConstantCase(width, 1, 1e-12),
    nearlyConstantCase(width, 1, 1e-5),
    nearlyConstantCase(width, -1000, 1e-12),
  ]),
  ...[1e-12, 1e-5].map((epsilon): OpCase => ({
    name: `layer_norm of rows of millionths, epsilon ${epsilon}`,
    inputs: [{ shape: [7, 37] }, { shape: [37] }, { shape: [37] }],
    build: ([x, w, b]) => layerNorm(scale(x, 2 ** -20), w, b, epsilon),
    reference: ([x, w, b]) => reference(x.map((value) => value * 2 ** -20), w, b, epsilon),
  })),
  {
    // An epsilon as large as the values: a wrong one, or one at the wrong place, shows.
    name: "layer_norm with a large epsilon",
    inputs: [{ shape: [4, 33] }, { shape: [33] }, { shape: [33] }],
    build: ([x, w, b]) => layerNorm(x, w, b, 1),
    reference: ([x, w, b]) => reference(x, w, b, 1),
  },
];
