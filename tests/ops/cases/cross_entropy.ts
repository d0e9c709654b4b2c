import type { OpCase } from "../../op_cases.ts";
import { crossEntropy } from "../../../lib/ops/cross_entropy.ts";
import { randomNormal } from "../../check_op.ts";
import { symbol } from "../../../lib/graph/shape.ts";

/** Negative log-likelihood of each row in f64, 0 where the label is −100. */
export function crossEntropyReference(x: Float64Array, labels: Float64Array): Float64Array {
  const classes = x.length / labels.length;
  return labels.map((label, r) => {
    if (label === -100) return 0;
    const row = x.subarray(r * classes, (r + 1) * classes);
    const largest = row.reduce((a, b) => Math.max(a, b));
    return largest - row[label] +
      Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  });
}

function rows(count: number, classes: number, shift = 0): OpCase {
  const labels = Array.from(
    { length: count },
    (_, r) => r % 3 === 2 ? -100 : r === 1 ? classes - 1 : (r * 31) % classes,
  );
  return {
    name: `cross-entropy [${count},${classes}]${shift === 0 ? "" : ` around ${shift}`}`,
    inputs: [
      {
        shape: [count, classes],
        values: randomNormal(count * classes).map((x) => Math.fround(3 * x + shift)),
      },
      { shape: [count], dtype: "i32", values: labels },
    ],
    build: ([x, labels]) => crossEntropy(x, labels),
    reference: ([x, labels]) => crossEntropyReference(x, labels),
    atol: 1e-5,
    rtol: 1e-5,
  };
}

export const cases: readonly OpCase[] = [
  { ...rows(1, 1), flat: true },
  rows(70, 2),
  rows(5, 31),
  rows(4, 65),
  rows(7, 257),
  rows(3, 4099),
  // Without the maximum subtracted, exp overflows.
  rows(3, 9, 300),
  {
    name: "cross-entropy [B,T,V]",
    sizes: { B: 2, T: 3 },
    inputs: [
      { shape: [symbol("B"), symbol("T"), 12] },
      { shape: [symbol("B"), symbol("T")], dtype: "i32", values: [0, -100, 11, 4, 4, -100] },
    ],
    build: ([x, labels]) => crossEntropy(x, labels),
    reference: ([x, labels]) => crossEntropyReference(x, labels),
  },
];
