import { assert, assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { crossEntropyReference } from "../ops/cases/cross_entropy.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session, type Values } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { accumulateGradient } from "../../lib/ops/accumulate_gradient.ts";
import { slice } from "../../lib/ops/concat.ts";
import { crossEntropy } from "../../lib/ops/cross_entropy.ts";
import { add, multiply } from "../../lib/ops/elementwise.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { embedding } from "../../lib/ops/embedding.ts";
import { record } from "../../lib/ops/record.ts";
import { sum } from "../../lib/ops/sum.ts";
import { buildUpdate, type UpdateOptions } from "../../lib/train/optimizer.ts";

/** Softmax regression on embedded symbols: classes × features, rows of a table, a bias. */
const [ROWS, FEATURES, CLASSES, EXAMPLES, STEPS] = [7, 6, 3, 8, 5];
const NAMES = ["table", "weight", "bias"] as const;
const IDS = Uint32Array.of(0, 3, 3, 6, 1, 0, 3, 5);
const LABELS = Int32Array.of(0, 2, 1, -100, 1, 0, 2, 2);
const COUNT = 7;

type Settings = Omit<UpdateOptions, "parameters" | "vectors" | "rate"> & {
  readonly vectors?: readonly string[];
  readonly rates?: Readonly<Record<string, number>>;
};

const SETTINGS: Settings = {
  schedule: "linear",
  learningRate: 0.05,
  warmupSteps: 0,
  steps: STEPS,
  beta1: 0.9,
  beta2: 0.999,
  // Large: Adam divides by the gradient's size, and a gradient near 0 is little but rounding.
  epsilon: 1e-3,
  weightDecay: 0.1,
  decay: "all",
  clipNorm: null,
};

interface Result {
  readonly scale?: Float32Array;
  readonly clip?: Float32Array;
  readonly losses: Float64Array;
  readonly values: readonly Float64Array[];
}

/** Loss, gradients and AdamW in f64, from formulas; some steps are skipped, and corrected for. */
function reference(
  settings: Settings,
  start: readonly Float64Array[],
  skips: (step: number) => boolean = () => false,
): Result {
  const values = start.map((x) => x.slice());
  const [means, squares] = [0, 1].map(() => start.map((x) => new Float64Array(x.length)));
  const losses = new Float64Array(STEPS);
  let updates = 0;
  for (let step = 0; step < STEPS; step++) {
    const [table, weight, bias] = values;
    const gradients = values.map((x) => new Float64Array(x.length));
    const logits = new Float64Array(EXAMPLES * CLASSES).map((_, e) => {
      const [n, c] = [Math.floor(e / CLASSES), e % CLASSES];
      let total = bias[c];
      for (let f = 0; f < FEATURES; f++) {
        total += table[IDS[n] * FEATURES + f] * weight[c * FEATURES + f];
      }
      return total;
    });
    losses[step] = crossEntropyReference(logits, Float64Array.from(LABELS))
      .reduce((a, b) => a + b) / COUNT;
    LABELS.forEach((label, n) => {
      if (label === -100) return;
      const row = logits.subarray(n * CLASSES, (n + 1) * CLASSES);
      const total = row.reduce((a, x) => a + Math.exp(x), 0);
      row.forEach((x, c) => {
        const g = (Math.exp(x) / total - (c === label ? 1 : 0)) / COUNT;
        gradients[2][c] += g;
        for (let f = 0; f < FEATURES; f++) {
          gradients[1][c * FEATURES + f] += g * table[IDS[n] * FEATURES + f];
          gradients[0][IDS[n] * FEATURES + f] += g * weight[c * FEATURES + f];
        }
      });
    });
    if (skips(step)) continue;
    updates++;
    const norm = Math.sqrt(gradients.flatMap((g) => [...g]).reduce((a, g) => a + g * g, 0));
    const { clipNorm, warmupSteps, schedule, beta1, beta2 } = settings;
    const clip = clipNorm === null ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
    const factor = step < warmupSteps
      ? step / warmupSteps
      : schedule === "constant"
      ? 1
      : (STEPS - step) / (STEPS - warmupSteps);
    values.forEach((x, i) => {
      const name = NAMES[i];
      const lr = settings.learningRate * factor * (settings.rates?.[name] ?? 1);
      const decays = settings.decay === "all" ||
        name !== "bias" && !settings.vectors?.includes(name);
      x.forEach((_, e) => {
        const g = gradients[i][e] * clip;
        const m = means[i][e] = beta1 * means[i][e] + (1 - beta1) * g;
        const v = squares[i][e] = beta2 * squares[i][e] + (1 - beta2) * g * g;
        if (decays) x[e] -= lr * settings.weightDecay * x[e];
        const [mHat, vHat] = [m / (1 - beta1 ** updates), v / (1 - beta2 ** updates)];
        x[e] -= lr * mHat / (Math.sqrt(vHat) + settings.epsilon);
      });
    });
  }
  return { losses, values };
}

/** The same on the device, each batch of examples cut into micro-batches of one size. */
async function train(
  gpu: Gpu,
  settings: Settings,
  start: readonly Float64Array[],
  microBatch: number,
  spoil?: (step: number) => boolean,
): Promise<Result> {
  const shapes = [[ROWS, FEATURES], [CLASSES, FEATURES], [CLASSES]];
  const parameters = NAMES.map((name, i) => variable(name, shapes[i], "trainable"));
  const [table, weight, bias] = parameters;
  const update = buildUpdate({
    ...settings,
    parameters,
    vectors: new Set(parameters.filter((_, i) => settings.vectors?.includes(NAMES[i]))),
    rate: (node) => settings.rates?.[NAMES[parameters.indexOf(node)]] ?? 1,
  });
  const B = symbol("B");
  const x = embedding(table, input("ids", [B], "u32"));
  const logits = einsum("bf,cf->bc", x, weight, { bias });
  const nll = crossEntropy(logits, input("labels", [B], "i32"));
  const share = input("share", [1], "f32");
  const loss = sum(multiply(nll, share), 0, 1);
  const seed = update.lossScale === null
    ? input("one", [1], "f32")
    : slice(update.lossScale, 0, 0, 1);
  const parts = differentiate(loss, seed, parameters, add);
  const roots = parameters.flatMap((node) =>
    parts.get(node)!.map((part) => accumulateGradient(update.gradients.get(node)!, part))
  );
  const session = new Session(gpu);
  try {
    const backward = session.program(
      [...roots, record(update.losses, update.step, loss)],
      { B: microBatch },
    );
    const step = session.program(update.roots, {});
    await session.build();
    for (const [name, values] of update.initial) session.upload(name, values);
    NAMES.forEach((name, i) => session.upload(name, Float32Array.from(start[i])));
    for (let at = 0; at < STEPS; at++) {
      for (let first = 0; first < EXAMPLES; first += microBatch) {
        const last = first + microBatch >= EXAMPLES;
        const inputs: Record<string, Values> = {
          ids: IDS.slice(first, first + microBatch),
          labels: LABELS.slice(first, first + microBatch),
          share: Float32Array.of(spoil?.(at) ? Infinity : 1 / COUNT),
          one: Float32Array.of(1),
        };
        session.write(backward, inputs);
        session.run(last ? [backward, step] : [backward]);
      }
    }
    const control = update.lossScale === null ? [] : ["loss_scale", "clip"];
    const found = await session.readVariables([...NAMES, "losses", ...control]);
    return {
      scale: found.get("loss_scale"),
      clip: found.get("clip"),
      losses: Float64Array.from(found.get("losses")!).subarray(0, STEPS),
      values: NAMES.map((name) => Float64Array.from(found.get(name)!)),
    };
  } finally {
    session.destroy();
  }
}

const randomStart = () =>
  [ROWS * FEATURES, CLASSES * FEATURES, CLASSES].map((count) => randomNormal(count));

function expectSame(name: string, found: Result, expected: Result): void {
  expectClose(`${name}: losses`, found.losses, expected.losses, 5e-6, 5e-6);
  NAMES.forEach((parameter, i) =>
    expectClose(`${name}: ${parameter}`, found.values[i], expected.values[i], 5e-6, 5e-6)
  );
}

gpuTest("buildUpdate() takes five steps as AdamW in f64 does", async (gpu) => {
  const cases: Readonly<Record<string, Partial<Settings>>> = {
    "plain": {},
    "clipped": { clipNorm: 0.05 },
    "clipped above its norm": { clipNorm: 1e3 },
    "decay of matrices": { decay: "matrices" },
    "decay of matrices, table of vectors": { decay: "matrices", vectors: ["table"] },
    "warm-up": { warmupSteps: 3 },
    "constant, other rates": { schedule: "constant", rates: { weight: 4, bias: 0.5 } },
  };
  for (const [name, changed] of Object.entries(cases)) {
    const start = randomStart();
    const settings = { ...SETTINGS, ...changed };
    expectSame(name, await train(gpu, settings, start, EXAMPLES), reference(settings, start));
  }
});

gpuTest("two micro-batches are one large batch", async (gpu) => {
  const start = randomStart();
  const settings = { ...SETTINGS, clipNorm: 0.05 };
  const whole = await train(gpu, settings, start, EXAMPLES);
  expectSame("micro-batches", await train(gpu, settings, start, EXAMPLES / 2), whole);
  expectSame("micro-batches in f64", whole, reference(settings, start));
});

gpuTest("a step that is not finite changes no parameter, and spoils no later one", async (gpu) => {
  const start = randomStart();
  const all = await train(gpu, SETTINGS, start, EXAMPLES, () => true);
  assertEquals(all.values, start);
  const some = await train(gpu, SETTINGS, start, EXAMPLES, (step) => step === 1);
  assert(!Number.isFinite(some.losses[1]) && Number.isFinite(some.losses[4]), `${some.losses}`);
  assert(some.losses[4] < some.losses[0], `${some.losses}`);
});

gpuTest("a scaled loss takes the same steps", async (gpu) => {
  const start = randomStart();
  const settings = { ...SETTINGS, clipNorm: 0.05 };
  const plain = await train(gpu, settings, start, EXAMPLES);
  // It grows twice on the way.
  const lossScaling = { initial: 1024, growth: 2, backoff: 0.5, interval: 2 };
  const scaled = await train(gpu, { ...settings, lossScaling }, start, EXAMPLES / 2);
  expectSame("scaled", scaled, plain);
  assertEquals([...scaled.scale!], [4096, 1, 0]);
  assert(scaled.clip![1] < 10, `the norm ${scaled.clip![1]} is that of the loss as it is`);
});

gpuTest("a scale that overflows backs off, and the steps skipped do not count", async (gpu) => {
  const start = randomStart();
  // The gradients' squares overflow f32 under the first scale.
  const lossScaling = { initial: 2 ** 72, growth: 2, backoff: 2 ** -20, interval: 100 };
  const settings = { ...SETTINGS, clipNorm: 0.05, warmupSteps: 2, lossScaling };
  const found = await train(gpu, settings, start, EXAMPLES);
  expectSame("skipped", found, reference(settings, start, (step) => step === 0));
  assertEquals([...found.scale!], [2 ** 52, STEPS - 1, 1]);
});

Deno.test("buildUpdate() makes variables by role and name, and refuses what it cannot train", () => {
  const parameter = variable("w", [2, 3], "trainable");
  const update = buildUpdate({ ...SETTINGS, vectors: undefined, parameters: [parameter] });
  assertEquals(update.gradients.get(parameter)!.attributes, {
    name: "w.grad",
    shape: [2, 3],
    dtype: "f32",
    role: "gradient",
  });
  assertEquals([...update.initial.keys()], ["step", "schedule"]);
  const refuse = (parameters: UpdateOptions["parameters"], message: string) =>
    assertThrows(
      () => buildUpdate({ ...SETTINGS, vectors: undefined, parameters }),
      RangeError,
      message,
    );
  refuse([], "update of 0 parameters over 5 steps");
  refuse([parameter, variable("w", [1], "trainable")], "w occurs twice");
});
