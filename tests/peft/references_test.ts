/** Methods without golden data, against f64 references written from their papers. */

import { assert, assertEquals } from "@std/assert";
import { Session } from "../../lib/gpu/session.ts";
import { BlockOutput } from "../../lib/layers/block_output.ts";
import { Linear } from "../../lib/layers/linear.ts";
import { Scope } from "../../lib/layers/scope.ts";
import type { Context, WeightLayout } from "../../lib/layers/site.ts";
import { buildModel } from "../../lib/models/index.ts";
import { scale } from "../../lib/ops/elementwise.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { runGraphs } from "../../lib/train/graphs.ts";
import { initialValues } from "../../lib/train/initialize.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { makeTask } from "../../lib/train/task.ts";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { llamaConfig } from "../small_models.ts";
import { checkMethod, type MethodCase, slope, type Values } from "./check_method.ts";
import { closest, multiply, rowsNorm } from "./f64.ts";

const [ROWS, INPUTS, OUTPUTS, RANK] = [6, 7, 5, 2];
const ALPHA = 3;

/** Builds a linear layer `layer` [OUTPUTS, INPUTS] under an input `x` [ROWS, INPUTS]. */
const layer = (
  layout: WeightLayout,
  bias: boolean,
  context: Context = {},
): Pick<MethodCase, "inputs" | "build"> => ({
  inputs: { x: [2, ROWS / 2, INPUTS] },
  build: (scope) => {
    const initializer = { kind: "normal", deviation: 1 } as const;
    const map = new Linear(scope, "layer", INPUTS, OUTPUTS, { bias, initializer, layout });
    return ({ x }) => map.apply(x, context);
  },
});

/** W [OUTPUTS, INPUTS] of a layout's stored values. */
const weight = (values: Values, layout: WeightLayout): Float64Array => {
  const stored = values["layer.weight"];
  return layout === "out_in" ? stored : Float64Array.from(
    stored,
    (_, i) => stored[(i % INPUTS) * OUTPUTS + Math.floor(i / INPUTS)],
  );
};

const loraA = "layer.lora_A.weight";
const loraB = "layer.lora_B.weight";

/** W + s·(B·A). */
const updated = (values: Values, layout: WeightLayout, s: number): Float64Array => {
  const product = multiply(values[loraB], values[loraA], RANK);
  return weight(values, layout).map((w, i) => w + s * product[i]);
};

/** x·Vᵀ + b. */
const applied = (values: Values, v: Float64Array): Float64Array => {
  const y = new Float64Array(ROWS * OUTPUTS);
  for (let row = 0; row < ROWS; row++) {
    for (let o = 0; o < OUTPUTS; o++) {
      let total = values["layer.bias"]?.[o] ?? 0;
      for (let i = 0; i < INPUTS; i++) total += v[o * INPUTS + i] * values.x[row * INPUTS + i];
      y[row * OUTPUTS + o] = total;
    }
  }
  return y;
};

/** Liu et al., 2024, equations 5 and 11: m ∘ V / ‖V‖ per output, ‖V‖ a constant of the gradient. */
const dora = (layout: WeightLayout): MethodCase["reference"] => (values, at) => {
  const s = ALPHA / RANK;
  const norms = rowsNorm(updated(at, layout, s), INPUTS);
  const scaled = updated(values, layout, s).map((v, i) => {
    const output = Math.floor(i / INPUTS);
    return v * values["layer.lora_magnitude_vector"][output] / norms[output];
  });
  return applied(values, scaled);
};

/** What dropout does here to all of its input. */
const KEPT = 0.5;

/** The same with dropout as PEFT has it: W's own output stays, what is added reads the dropped x. */
const droppedDora = (layout: WeightLayout): MethodCase["reference"] => (values, at) => {
  const inside = { ...values, x: values.x.map((x) => KEPT * x) };
  const added = dora(layout)(inside, { ...at, x: inside.x });
  const plain = applied(inside, weight(values, layout));
  return applied(values, weight(values, layout)).map((y, i) => y + added[i] - plain[i]);
};

const lora = { method: "lora", trains: 2 };
const options = { rank: RANK, alpha: ALPHA, targets: "layer" };
const layouts = ["out_in", "in_out"] as const;

const linearCases = layouts.flatMap((layout): MethodCase[] =>
  [true, false].flatMap((bias): MethodCase[] => [
    {
      ...lora,
      ...layer(layout, bias),
      name: `rsLoRA, ${layout}, bias ${bias}`,
      options: { ...options, rslora: true },
      // Kalajdzievski, 2023: the factor is alpha / √rank.
      reference: (values) => applied(values, updated(values, layout, ALPHA / Math.sqrt(RANK))),
    },
    {
      ...lora,
      ...layer(layout, bias),
      name: `PiSSA, ${layout}, bias ${bias}`,
      options: { ...options, init: "pissa" },
      // Meng et al., 2024, equations 2 to 5: the base keeps what its largest singular parts leave.
      reference: (values) => {
        const w = weight(values, layout);
        const principal = closest(w, INPUTS, RANK);
        return applied(
          values,
          updated(values, layout, ALPHA / RANK).map((v, i) => v - principal[i]),
        );
      },
    },
    {
      ...layer(layout, bias),
      method: "lora",
      trains: 3,
      name: `DoRA, ${layout}, bias ${bias}`,
      options: { ...options, dora: true },
      reference: dora(layout),
    },
    {
      ...layer(layout, bias, { dropout: (x) => scale(x, KEPT) }),
      method: "lora",
      trains: 3,
      name: `DoRA under dropout, ${layout}, bias ${bias}`,
      options: { ...options, dora: true, dropout: 1 - KEPT },
      reference: droppedDora(layout),
    },
  ])
);

gpuTest("variants of LoRA follow their papers", async (gpu) => {
  for (const check of linearCases) await checkMethod(gpu, check);
});

Deno.test("a DoRA whose norm is not detached would show", () => {
  const values: Values = Object.fromEntries(
    Object.entries({
      x: ROWS * INPUTS,
      "layer.weight": OUTPUTS * INPUTS,
      [loraA]: RANK * INPUTS,
      [loraB]: OUTPUTS * RANK,
      "layer.lora_magnitude_vector": OUTPUTS,
    }).map(([name, size], i) => [name, randomNormal(size, i)]),
  );
  const seed = randomNormal(ROWS * OUTPUTS, 5);
  const reference = dora("out_in");
  const v = randomNormal(values[loraA].length, 6);
  const detached = slope({ reference }, values, loraA, v, seed);
  const attached = slope({ reference: (now) => reference(now, now) }, values, loraA, v, seed);
  assert(Math.abs(detached - attached) > 1e-2 * Math.abs(detached));
});

Deno.test("DoRA starts at the norms of W's rows, PiSSA at W's largest singular parts", () => {
  for (const layout of layouts) {
    for (const init of ["default", "pissa"]) {
      const scope = new Scope();
      layer(layout, true).build(scope);
      const { delta } = attachMethod(
        { scope, head: [] },
        methods.lora,
        methods.lora.parse({ ...options, init, dora: init === "default" }),
      );
      const stored = randomNormal(INPUTS * OUTPUTS);
      const base = new Map([["layer.weight", Float32Array.from(stored)]]);
      const start = (name: string) =>
        Float64Array.from(initialValues(delta.parameters.get(name)!, 0, base));
      const w = weight({ "layer.weight": stored }, layout);
      if (init === "default") {
        const magnitude = start("layer.lora_magnitude_vector");
        expectClose("magnitude", magnitude, rowsNorm(w, INPUTS), 1e-6, 1e-6);
      } else {
        const product = multiply(start(loraB), start(loraA), RANK);
        const parts = product.map((x) => x * ALPHA / RANK);
        expectClose("principal parts", parts, closest(w, INPUTS, RANK), 1e-5, 1e-5);
        assertEquals(start("layer.lora_A.initial"), start(loraA));
        assertEquals(start("layer.lora_B.initial"), start(loraB));
      }
    }
  }
});

gpuTest("BitFit trains the bias of y = W·x + b alone", async (gpu) => {
  // Ben Zaken et al., 2022, section 3.
  for (const layout of layouts) {
    await checkMethod(gpu, {
      ...layer(layout, true),
      name: `BitFit, ${layout}`,
      method: "bitfit",
      options: {},
      trains: 1,
      reference: (values) => applied(values, weight(values, layout)),
    });
  }
});

const [TOKENS, WIDTH, BOTTLENECK] = [5, 6, 3];
const shape = [1, TOKENS, WIDTH];

/** An attention block and a feed-forward block of given outputs, one behind the other on a stream. */
const blocks: Pick<MethodCase, "inputs" | "build"> = {
  inputs: { stream: shape, attended: shape, forwarded: shape },
  build: (scope) => {
    const attention = new BlockOutput(scope, "attn_out", "attention", WIDTH);
    const feedForward = new BlockOutput(scope, "ffn_out", "feed_forward", WIDTH);
    return ({ stream, attended, forwarded }) =>
      feedForward.join(forwarded, attention.join(attended, stream, {}), {});
  },
};

/** up(f(down(z))), with biases. */
function bottleneck(
  values: Values,
  site: string,
  z: Float64Array,
  f: (x: number) => number,
): Float64Array {
  const part = (name: string) => values[`${site}.adapter_${name}`];
  const affine = (x: Float64Array, name: string, inputs: number, outputs: number) =>
    Float64Array.from({ length: TOKENS * outputs }, (_, at) => {
      const [token, output] = [Math.floor(at / outputs), at % outputs];
      let total = part(`${name}.bias`)[output];
      for (let i = 0; i < inputs; i++) {
        total += part(`${name}.weight`)[output * inputs + i] * x[token * inputs + i];
      }
      return total;
    });
  return affine(affine(z, "down", WIDTH, BOTTLENECK).map(f), "up", BOTTLENECK, WIDTH);
}

const sum = (...parts: readonly Float64Array[]) =>
  parts[0].map((_, i) => parts.reduce((total, part) => total + part[i], 0));

gpuTest("Houlsby's and He's adapters follow their papers", async (gpu) => {
  await checkMethod(gpu, {
    ...blocks,
    name: "Houlsby",
    method: "adapter",
    options: { placement: "houlsby", bottleneck: BOTTLENECK, activation: "swish" },
    trains: 8,
    // Houlsby et al., 2019, figure 2: behind each block's output projection, with an own skip
    // connection, before the block's residual.
    reference: (values) => {
      const swish = (x: number) => x / (1 + Math.exp(-x));
      const adapted = (site: string, f: Float64Array) => sum(f, bottleneck(values, site, f, swish));
      const middle = sum(values.stream, adapted("attention", values.attended));
      return sum(middle, adapted("feed_forward", values.forwarded));
    },
  });
  for (const scaling of [4, 0.5]) {
    await checkMethod(gpu, {
      ...blocks,
      name: `parallel, scaling ${scaling}`,
      method: "adapter",
      options: { placement: "parallel", bottleneck: BOTTLENECK, scaling, activation: "tanh" },
      trains: 4,
      // He et al., 2022, table 1: h + s·f(x·W_down)·W_up, x what the feed-forward block's residual is.
      reference: (values) => {
        const middle = sum(values.stream, values.attended);
        const beside = bottleneck(values, "feed_forward", middle, Math.tanh);
        return sum(middle, values.forwarded, beside.map((x) => scaling * x));
      },
    });
  }
});

gpuTest("LoRA+ moves B by so many times A's learning rate", async (gpu) => {
  // Hayou et al., 2024, section 4: the rate of B is a fixed multiple of that of A, here in AdamW.
  const [rate, ratio, decay, epsilon] = [1e-2, 4, 0.1, 1e-8];
  const model = buildModel(llamaConfig, { classes: 3, head: false });
  const attached = attachMethod(
    model,
    methods.lora,
    methods.lora.parse({ rank: RANK, plus: ratio }),
  );
  const settings = trainSettings({
    learningRate: rate,
    weightDecay: decay,
    eps: epsilon,
    clipNorm: null,
    schedule: "constant",
  });
  const { update } = runGraphs({ attached, task: makeTask(model, 0, null), settings }, 1, false);
  const session = new Session(gpu);
  try {
    const program = session.program(update!.roots, {});
    await session.build();
    for (const [name, values] of update!.initial) session.upload(name, values);
    const start = new Map<string, Float64Array>();
    const gradient = new Map<string, Float64Array>();
    for (const { name, shape } of attached.trainable) {
      const size = shape.reduce((a, b) => a * b);
      start.set(name, randomNormal(size));
      gradient.set(name, randomNormal(size));
      session.upload(name, Float32Array.from(start.get(name)!));
      session.upload(`${name}.grad`, Float32Array.from(gradient.get(name)!));
    }
    session.run([program]);
    const names = attached.trainable.map(({ name }) => name);
    const found = await session.readVariables(names);
    for (const name of names) {
      const own = name.endsWith("lora_B.weight") ? rate * ratio : rate;
      // The first step: both moments, corrected, are the gradient and its square.
      const expected = start.get(name)!.map((w, i) => {
        const g = gradient.get(name)![i];
        return w - own * (g / (Math.abs(g) + epsilon) + decay * w);
      });
      expectClose(name, found.get(name)!, expected, 1e-6, 1e-6);
    }
    assertEquals(names.filter((name) => name.endsWith("lora_B.weight")).length, 4);
  } finally {
    session.destroy();
  }
});

Deno.test("PEFT's LoRA+ takes the rate of vectors too", () => {
  const scope = new Scope();
  layer("out_in", true).build(scope);
  const { rates } = attachMethod(
    { scope, head: ["layer.bias"] },
    methods.lora,
    methods.lora.parse({ ...options, semantics: "peft", plus: 8, dora: true }),
  );
  assertEquals([...rates.values()], [8, 8, 8]); // the head's bias, B, the magnitude
});
