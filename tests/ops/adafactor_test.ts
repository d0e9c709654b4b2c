import { assert, assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { operations } from "../../lib/graph/node.ts";
import { adafactor, type AdafactorFactors } from "../../lib/ops/adafactor.ts";
import { advance } from "../../lib/ops/advance.ts";
import { scheduleTable } from "../../lib/train/schedule.ts";

const STEPS = 6;
const RATES = [0.3, 0.3, 0.2, 0.2, 0.1, 0.05];
const RMS = (x: Float64Array) => Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length);

/** Shazeer and Stern (2018), Algorithm 4 for matrices, Algorithm 5 for vectors, in f64, with sums. */
function reference(
  shape: readonly number[],
  start: Float64Array,
  gradients: readonly Float64Array[],
  { weightDecay, scaleParameter, rate = 1 }: AdafactorFactors,
): Float64Array[] {
  const n = shape[shape.length - 1];
  const m = start.length / n;
  const x = start.slice();
  const [R, C] = [new Float64Array(m), new Float64Array(n)];
  const V = new Float64Array(start.length);
  return gradients.map((G, step) => {
    const t = step + 1;
    const beta = 1 - t ** -0.8;
    const alpha = RATES[step] * rate * (scaleParameter ? Math.max(1e-3, RMS(x)) : 1);
    if (shape.length > 1) {
      const square = (i: number, j: number) => G[i * n + j] ** 2 + 1e-30;
      for (let i = 0; i < m; i++) {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += square(i, j);
        R[i] = beta * R[i] + (1 - beta) * sum;
      }
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let i = 0; i < m; i++) sum += square(i, j);
        C[j] = beta * C[j] + (1 - beta) * sum;
      }
      const total = R.reduce((a, b) => a + b, 0);
      V.forEach((_, e) => V[e] = R[Math.floor(e / n)] * C[e % n] / total);
    } else V.forEach((_, e) => V[e] = beta * V[e] + (1 - beta) * (G[e] ** 2 + 1e-30));
    const U = G.map((g, e) => g / Math.sqrt(V[e]));
    const limit = Math.max(1, RMS(U) / 1);
    x.forEach((w, e) => x[e] = w - alpha * weightDecay * w - alpha * U[e] / limit);
    return x.slice();
  });
}

/** The same on the device; `spoiled` steps get a gradient that is not finite, and change nothing. */
async function steps(
  gpu: Gpu,
  shape: readonly number[],
  start: Float64Array,
  gradients: readonly Float64Array[],
  factors: AdafactorFactors,
) {
  const parameter = variable("w", shape, "trainable");
  const schedule = variable("schedule", [STEPS, 4], "control");
  const step = variable("step", [1], "control", "u32");
  const update = adafactor({
    parameter,
    gradient: variable("w.grad", shape, "gradient"),
    schedule,
    step,
    clip: variable("clip", [4], "control"),
    ...factors,
  });
  const session = new Session(gpu);
  try {
    const program = session.program([update, advance(step)], {});
    await session.build();
    const table = scheduleTable({
      schedule: "constant",
      learningRate: 1,
      warmupSteps: 0,
      steps: STEPS,
      beta1: 0.9,
      beta2: 0.999,
    });
    RATES.forEach((rate, row) => table[row * 4] = rate);
    session.upload("schedule", table);
    session.upload("w", Float32Array.from(start));
    const found: Float32Array[] = [];
    for (const gradient of gradients) {
      // The coefficient halves what is twice as large.
      session.upload("w.grad", Float32Array.from(gradient, (g) => 2 * g));
      session.upload("clip", Float32Array.of(0.5, 1, 1, 0));
      session.run([program]);
      const values = await session.readVariables(["w", "w.grad"]);
      assertEquals(values.get("w.grad")!.every((g) => g === 0), true);
      found.push(values.get("w")!);
    }
    session.upload("w.grad", new Float32Array(start.length).fill(NaN));
    session.upload("clip", Float32Array.of(0, NaN, 0, 0));
    const names = shape.length > 1 ? ["w.row_moment", "w.column_moment"] : ["w.second_moment"];
    const before = await session.readVariables(["w", ...names]);
    session.run([program]);
    assertEquals(await session.readVariables(["w", ...names]), before);
    assert((await session.readVariables(["w.grad"])).get("w.grad")!.every((g) => g === 0));
    return { found, bytes: session.memory().byRole.optimizer };
  } finally {
    session.destroy();
  }
}

const plain = { weightDecay: 0, scaleParameter: false };
const CASES: readonly [string, number[], AdafactorFactors][] = [
  ["a matrix", [37, 65], plain],
  ["a tall matrix", [300, 3], plain],
  ["one row, as a prompt of one token", [1, 130], plain],
  ["three axes", [4, 3, 20], plain],
  ["a vector", [129], plain],
  ["a vector over many groups", [9000], plain],
  ["a decayed matrix at another rate", [24, 33], { ...plain, weightDecay: 0.1, rate: 0.5 }],
  ["a scaled matrix", [150, 64], { weightDecay: 0.1, scaleParameter: true }],
  ["a scaled vector", [70], { weightDecay: 0, scaleParameter: true }],
];

for (const maxBinding of [undefined, 8192]) {
  const how = maxBinding === undefined ? "at once" : "in row shards";
  gpuTest(`adafactor() steps ${how} as its f64 reference from the paper`, async (gpu) => {
    const cases = maxBinding === undefined ? CASES : [
      ["a matrix", [150, 64], plain],
      ["a scaled matrix", [150, 64], { weightDecay: 0.1, scaleParameter: true }],
      ["a vector", [9000], plain],
    ] as typeof CASES;
    for (const [name, shape, factors] of cases) {
      const count = shape.reduce((a, b) => a * b);
      const start = randomNormal(count);
      const gradients = Array.from({ length: STEPS }, (_, step) => {
        // Sizes from 1e-6 to 10, over rows; a row without gradient, as of a token not in the batch.
        const cols = shape.length > 1 ? shape[shape.length - 1] : count;
        return randomNormal(count).map((g, e) => {
          const row = Math.floor(e / cols);
          return row === 2 ? 0 : Math.fround(g * 10 ** ((row + step) % 8 - 6));
        });
      });
      const expected = reference(shape, start, gradients, factors);
      const { found, bytes } = await steps(gpu, shape, start, gradients, factors);
      found.forEach((values, step) =>
        expectClose(`${name}, step ${step + 1}`, values, expected[step], 1e-6, 1e-5)
      );
      const state = shape.length > 1 ? count / shape.at(-1)! + shape.at(-1)! : count;
      assertEquals(bytes, 4 * (state + 132), name);
    }
  }, maxBinding);
}

Deno.test("adafactor() refuses a gradient of another shape, and has no gradient itself", () => {
  const control = (name: string, shape: number[]) => variable(name, shape, "control");
  assertThrows(
    () =>
      adafactor({
        parameter: variable("w", [3, 4], "trainable"),
        gradient: variable("w.grad", [4, 3], "gradient"),
        schedule: control("schedule", [1, 4]),
        step: variable("step", [1], "control", "u32"),
        clip: control("clip", [4]),
        ...plain,
      }),
    TypeError,
    "Cannot update [3, 4] by [4, 3]",
  );
  assertEquals(operations().find(({ name }) => name === "adafactor")!.differentiable, false);
});
