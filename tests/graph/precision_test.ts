import { assert, assertEquals, assertThrows } from "@std/assert";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";
import { input, variable, variableAttributes } from "../../lib/graph/leaves.ts";
import { MemoryPlanner } from "../../lib/graph/memory.ts";
import { byteLength, type Node, storage, topological } from "../../lib/graph/node.ts";
import { plan } from "../../lib/graph/plan.ts";
import { fullPrecision, halfPrecision, storagePolicy } from "../../lib/graph/precision.ts";
import { symbol } from "../../lib/graph/shape.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add, scale } from "../../lib/ops/elementwise.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { rmsNorm } from "../../lib/ops/rms_norm.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { runGraphs } from "../../lib/train/graphs.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { makeTask } from "../../lib/train/task.ts";

const WORDS = { words: ["no", "yes"], ids: [[3], [5]] };

function graphs(config: RawConfig, name: string, options: MethodOptions = {}, dropped = 0.1) {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: method.needsHead });
  const attached = attachMethod(model, method, method.parse(options));
  const task = makeTask(model, 0, model.textToText ? WORDS : null);
  const settings = trainSettings({ learningRate: 1e-3, frozenDropout: dropped });
  const trained = new Set(attached.trainable.map(({ name }) => name));
  return {
    model,
    trained,
    ...runGraphs({ attached, task, settings, precision: "f16" }, 10, false),
  };
}

const FAMILIES = { t5: t5Config, llama: llamaConfig, gpt2: gpt2Config, bert: bertConfig };

/** Inputs that must hold what f16 cannot: index, or all. */
const FULL_INPUTS: Record<string, number | "all"> = {
  add: "all",
  rms_norm: 0,
  rms_norm_grad: 0,
  layer_norm: 0,
  layer_norm_grad: 0,
  attention_softmax: 0,
  cross_entropy: "all",
  cross_entropy_grad: "all",
  sum: "all",
  record: "all",
  accumulate: "all",
  sum_into: "all",
  grad_norm_partials: "all",
  adamw: "all",
  small_update: "all",
  recorded_cross_entropy: "all",
};

for (const [family, config] of Object.entries(FAMILIES)) {
  Deno.test(`${family}: sums, norms, scores, logits and what trains are f32; products' operands f16`, () => {
    for (const name of ["lora", "adapter", "full", "soft_prompt", "head"]) {
      const { backward, update, scores, trained } = graphs(config, name);
      for (const [roots, keep] of [[backward!, []], [update!.roots, []], [[scores], [scores]]]) {
        const order = topological(roots);
        const half = halfPrecision(trained)(order, keep);
        for (const node of order) {
          const where = `${name}, ${node.op.name} ${node.id}`;
          const full = FULL_INPUTS[node.op.name];
          node.inputs.forEach((one, i) => {
            if (full === "all" || full === i) assert(!half.has(storage(one)), `${where}: ${i}`);
          });
          if (half.has(node)) {
            assert(node.dtype === "f32" && storage(node) === node, where);
            assert(!["input", "constant"].includes(node.op.leaf ?? ""), where);
          }
          if (node.op.leaf === "variable") {
            const { name, role, shape } = variableAttributes(node);
            const matrix = shape.length > 1 && !/relative_attention_bias/.test(name);
            assertEquals(half.has(node), role === "weight" && matrix && !trained.has(name), name);
          }
        }
        assert(keep.every((node) => !half.has(storage(node))), name);
        // A product reads f32 only where it must be: other sums' terms, or what trains.
        const operands = order.filter(({ op }) => op.name === "einsum").flatMap((node) =>
          node.inputs.slice(0, 2).map(storage)
        );
        const stored = operands.filter((node) => half.has(node)).length / operands.length;
        if (roots === backward) assert(stored > (name === "full" ? 0.3 : 0.5), `${name} ${stored}`);
      }
    }
  });
}

Deno.test("what joins a sum through other operations is f32 all the way", () => {
  const [B] = [symbol("B")];
  const x = input("x", [B, 2, 8], "f32");
  const w = variable("w", [8, 8], "weight");
  const keys = ["examples", "step", "seed"].map((name) => input(name, [B], "u32"));
  const drop = (node: Node) =>
    dropout(node, {
      probability: 0.5,
      site: "here",
      examples: keys[0],
      step: keys[1],
      seed: keys[2],
    });
  const product = einsum("btc,nc->btn", x, w);
  const joined = reshape(scale(drop(product), 2), [B, 16]);
  const aside = scale(product, 3);
  const roots = [
    rmsNorm(add(joined, reshape(x, [B, 16])), variable("gain", [16], "weight"), 1e-5),
    einsum("btc,nc->btn", aside, w),
  ];
  const half = halfPrecision(new Set())(topological(roots), roots);
  assertEquals([...half].map(({ op }) => op.name), ["variable", "scale"]);
  assert(half.has(w) && half.has(aside) && !half.has(product));
  // Nothing joins: the product and what follows are operands of the last one alone.
  const alone = halfPrecision(new Set())(topological([roots[1]]), [roots[1]]);
  assertEquals([...alone].map(({ id }) => id), [w, product, aside].map(({ id }) => id));
});

Deno.test("an odd number of halves takes whole words", () => {
  const node = variable("w", [3, 5], "weight");
  assertEquals([byteLength(node, {}), byteLength(node, {}, new Set([node]))], [60, 32]);
});

Deno.test("GPT-2's frozen weights take half the bytes in f16, its activations two thirds", () => {
  const { model, backward, update, trained } = graphs(
    knownConfigs["gpt2"],
    "lora",
    { rank: 8, alpha: 16, dropout: 0.1 },
    0,
  );
  const memory = (precision: "f32" | "f16") => {
    const planner = new MemoryPlanner();
    const policy = storagePolicy(precision, trained);
    const sizes = { B: 32, T: 128 };
    planner.add(plan(backward!, sizes, [], policy), sizes);
    planner.add(plan(update!.roots, {}, [], policy), {});
    return planner.memory();
  };
  const [full, half] = [memory("f32"), memory("f16")];
  const bytes = (of: (parameter: { shape: readonly number[] }) => number) =>
    model.scope.select(({ length }) => length > 0).filter(({ name }) => !trained.has(name))
      .reduce((sum, parameter) => sum + of(parameter), 0);
  const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const frozen = bytes(({ shape }) => count(shape) * (shape.length > 1 ? 2 : 4));
  assertEquals(
    full.byRole.weight - half.byRole.weight,
    bytes(({ shape }) => 4 * count(shape)) - frozen,
  );
  assert(half.byRole.weight < 0.502 * full.byRole.weight);
  for (const role of ["trainable", "gradient", "optimizer", "control"] as const) {
    assertEquals(half.byRole[role], full.byRole[role], role);
  }
  const share = half.activations / full.activations;
  assert(share > 0.5 && share < 0.66, `activations ${half.activations} of ${full.activations}`);
});

Deno.test("a variable has one precision in all programs of a plan", () => {
  const [B] = [symbol("B")];
  const w = variable("w", [8, 8], "weight");
  const root = einsum("bc,nc->bn", input("x", [B, 8], "f32"), w);
  const planner = new MemoryPlanner();
  planner.add(plan([root], { B: 2 }, [], halfPrecision(new Set())), { B: 2 });
  assertThrows(
    () => planner.add(plan([root], { B: 4 }, [], fullPrecision), { B: 4 }),
    TypeError,
    "Cannot store variable w in half precision in one program and not in another",
  );
  assertEquals(planner.memory().byRole.weight, 128);
});
