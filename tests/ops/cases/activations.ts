import { randomNormal } from "../../check_op.ts";
import type { OpCase } from "../../op_cases.ts";
import {
  type Activation,
  gelu,
  geluTanh,
  leakyRelu,
  relu,
  sigmoid,
  silu,
  tanh,
} from "../../../lib/ops/activations.ts";

/** erf in f64: its series below 3, the continued fraction of erfc above. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 3) {
    let [sum, term] = [0, x];
    for (let n = 0; n < 80; n++) {
      sum += term / (2 * n + 1);
      term *= -x * x / (n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = z;
  for (let n = 60; n >= 1; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction);
}

/** The activations in f64, by Hugging Face's names. */
export const references: Readonly<Record<string, (x: number) => number>> = {
  relu: (x) => Math.max(x, 0),
  gelu: (x) => x / 2 * (1 + erf(x / Math.SQRT2)),
  gelu_new: (x) => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  leaky_relu: (x) => x < 0 ? 0.01 * x : x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

const functions: [string, Activation][] = [
  ["relu", relu],
  ["gelu", gelu],
  ["gelu_new", geluTanh],
  ["silu", silu],
  ["tanh", tanh],
  ["leaky_relu", leakyRelu],
  ["sigmoid", sigmoid],
];

/** Normal values, three times as wide, but none so near 0 that a difference quotient of relu straddles it. */
function wide(count: number): number[] {
  return Array.from(randomNormal(count), (x) => Math.fround(3 * x + (x < 0 ? -0.01 : 0.01)));
}

export const cases: readonly OpCase[] = functions.flatMap(([name, apply]) =>
  [[1], [3, 21], [64], [5, 129], [2, 3, 70]].map((shape): OpCase => ({
    name: `${name} [${shape}]`,
    inputs: [{
      shape,
      values: shape[0] === 1 ? [0.75] : wide(shape.reduce((a, b) => a * b)),
    }],
    build: ([x]) => apply(x),
    reference: ([x]) => x.map(references[name]),
    atol: 1e-6,
    rtol: 1e-6,
  }))
);
