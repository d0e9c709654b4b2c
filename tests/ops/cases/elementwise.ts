import type { OpCase } from "../../op_cases.ts";
import {
  add,
  broadcastTo,
  divide,
  multiply,
  scale,
  sqrt,
  subtract,
} from "../../../lib/ops/elementwise.ts";

const shapes = [[1], [3, 7], [5, 129], [2, 3, 70]];

const same = shapes.flatMap((shape): OpCase[] => {
  const inputs = [{ shape }, { shape }];
  return [
    {
      name: `add [${shape}]`,
      inputs,
      build: ([a, b]) => add(a, b),
      reference: ([a, b]) => a.map((x, i) => x + b[i]),
    },
    {
      name: `subtract [${shape}]`,
      inputs,
      build: ([a, b]) => subtract(a, b),
      reference: ([a, b]) => a.map((x, i) => x - b[i]),
    },
    {
      name: `multiply [${shape}]`,
      inputs,
      build: ([a, b]) => multiply(a, b),
      reference: ([a, b]) => a.map((x, i) => x * b[i]),
    },
    {
      name: `scale [${shape}]`,
      inputs: [{ shape }],
      build: ([a]) => scale(a, -2.5),
      reference: ([a]) => a.map((x) => -2.5 * x),
    },
  ];
});

const denominators = Float64Array.from({ length: 21 }, (_, i) => Math.fround(1 + i / 7));

const [B, T, C] = [3, 5, 66];
const at = (i: number) => [Math.floor(i / (T * C)), Math.floor(i / C) % T, i % C];
const repeated: [number[], (i: number) => number][] = [
  [[C], (i) => at(i)[2]],
  [[T, 1], (i) => at(i)[1]],
  [[B, 1, C], (i) => at(i)[0] * C + at(i)[2]],
  [[B, T, 1], (i) => at(i)[0] * T + at(i)[1]],
  [[1], () => 0],
];

export const cases: readonly OpCase[] = [
  ...same,
  {
    name: "divide [3,7]",
    inputs: [{ shape: [3, 7] }, { shape: [3, 7], values: denominators }],
    build: ([a, b]) => divide(a, b),
    reference: ([a, b]) => a.map((x, i) => x / b[i]),
  },
  {
    name: "sqrt [3,7]",
    inputs: [{ shape: [3, 7], values: denominators }],
    build: ([x]) => sqrt(x),
    reference: ([x]) => x.map(Math.sqrt),
  },
  ...repeated.map(([shape, index]): OpCase => ({
    name: `multiply [${[B, T, C]}] by [${shape}]`,
    inputs: [{ shape: [B, T, C] }, { shape }],
    build: ([a, b]) => multiply(a, b),
    reference: ([a, b]) => a.map((x, i) => x * b[index(i)]),
    atol: 1e-4,
  })),
  {
    name: "broadcast [7] to [4,7]",
    inputs: [{ shape: [7] }],
    build: ([a]) => broadcastTo(a, [4, 7]),
    reference: ([a]) => Array.from({ length: 28 }, (_, i) => a[i % 7]),
  },
];
