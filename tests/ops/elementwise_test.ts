import { checkOp, gpuTest } from "../check_op.ts";
import { add, broadcastTo, divide, multiply, scale, subtract } from "../../lib/ops/elementwise.ts";
import { concat, slice } from "../../lib/ops/concat.ts";
import { sum } from "../../lib/ops/sum.ts";

const shapes = [[1], [3, 7], [5, 129], [2, 3, 70]];

gpuTest("elementwise operations match their f64 references", async (gpu) => {
  for (const shape of shapes) {
    const inputs = [{ shape }, { shape }];
    await checkOp(gpu, `add ${shape}`, {
      inputs,
      build: ([a, b]) => add(a, b),
      reference: ([a, b]) => a.map((x, i) => x + b[i]),
    });
    await checkOp(gpu, `subtract ${shape}`, {
      inputs,
      build: ([a, b]) => subtract(a, b),
      reference: ([a, b]) => a.map((x, i) => x - b[i]),
    });
    await checkOp(gpu, `multiply ${shape}`, {
      inputs,
      build: ([a, b]) => multiply(a, b),
      reference: ([a, b]) => a.map((x, i) => x * b[i]),
    });
    await checkOp(gpu, `scale ${shape}`, {
      inputs: [{ shape }],
      build: ([a]) => scale(a, -2.5),
      reference: ([a]) => a.map((x) => -2.5 * x),
    });
  }
  const denominators = Float64Array.from({ length: 21 }, (_, i) => Math.fround(1 + i / 7));
  await checkOp(gpu, "divide", {
    inputs: [{ shape: [3, 7] }, { shape: [3, 7], values: denominators }],
    build: ([a, b]) => divide(a, b),
    reference: ([a, b]) => a.map((x, i) => x / b[i]),
  });
});

gpuTest("elementwise operations broadcast, and sum gradients back", async (gpu) => {
  const [B, T, C] = [3, 5, 66];
  const at = (i: number) => [Math.floor(i / (T * C)), Math.floor(i / C) % T, i % C];
  const cases: [number[], (i: number) => number][] = [
    [[C], (i) => at(i)[2]],
    [[T, 1], (i) => at(i)[1]],
    [[B, 1, C], (i) => at(i)[0] * C + at(i)[2]],
    [[B, T, 1], (i) => at(i)[0] * T + at(i)[1]],
    [[1], () => 0],
  ];
  for (const [shape, index] of cases) {
    await checkOp(gpu, `multiply [3,5,66] by [${shape}]`, {
      inputs: [{ shape: [B, T, C] }, { shape }],
      build: ([a, b]) => multiply(a, b),
      reference: ([a, b]) => a.map((x, i) => x * b[index(i)]),
      atol: 1e-4,
    });
  }
  await checkOp(gpu, "broadcastTo", {
    inputs: [{ shape: [7] }],
    build: ([a]) => broadcastTo(a, [4, 7]),
    reference: ([a]) => Array.from({ length: 28 }, (_, i) => a[i % 7]),
  });
});

gpuTest("sum() adds over any neighbouring axes", async (gpu) => {
  for (const [start, end] of [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3]]) {
    const shape = [3, 65, 7];
    const size = (from: number, to: number) => shape.slice(from, to).reduce((a, b) => a * b, 1);
    const [length, inner] = [size(start, end), size(end, 3)];
    await checkOp(gpu, `sum ${start}..${end}`, {
      inputs: [{ shape }],
      build: ([x]) => sum(x, start, end),
      reference: ([x]) => {
        const out = new Float64Array(x.length / length);
        x.forEach((v, i) => out[Math.floor(i / (length * inner)) * inner + i % inner] += v);
        return out;
      },
      atol: 1e-4,
    });
  }
});

gpuTest("concat() and slice() copy, and their gradients cut", async (gpu) => {
  await checkOp(gpu, "concat", {
    inputs: [{ shape: [2, 3, 5] }, { shape: [2, 4, 5] }],
    build: ([a, b]) => concat(a, b, 1),
    reference: ([a, b]) =>
      Array.from({ length: 70 }, (_, e) => {
        const [o, t, i] = [Math.floor(e / 35), Math.floor(e / 5) % 7, e % 5];
        return t < 3 ? a[(o * 3 + t) * 5 + i] : b[(o * 4 + t - 3) * 5 + i];
      }),
  });
  await checkOp(gpu, "slice", {
    inputs: [{ shape: [2, 9, 5] }],
    build: ([x]) => slice(x, 1, 3, 4),
    reference: ([x]) =>
      Array.from(
        { length: 40 },
        (_, e) => x[(Math.floor(e / 20) * 9 + 3 + Math.floor(e / 5) % 4) * 5 + e % 5],
      ),
  });
});
