/** Every operation's lowering computes what its f64 reference says, on the cases of its kernels. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { lower } from "../../lib/graph/lower.ts";
import { constant, input } from "../../lib/graph/leaves.ts";
import { type Node, operations, topological } from "../../lib/graph/node.ts";
import { bindShape, elements, symbol } from "../../lib/graph/shape.ts";
import { detach } from "../../lib/ops/detach.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { add, scale } from "../../lib/ops/elementwise.ts";
import { fill } from "../../lib/ops/fill.ts";
import { expectClose, randomNormal } from "../check_op.ts";
import { runNode } from "../onnx_run.ts";
import { allCases, type OpCase } from "../op_cases.ts";
import "../../lib/train/trainer.ts"; // defines every operation that there is

/** Operations that training alone needs: they have no lowering. */
const TRAINING = new Set(
  ("cross_entropy dropout layer_statistics layer_weight_parts rms_factor rms_weight_parts " +
    "accumulate record advance adamw adafactor grad_norm_partials clip_coefficient " +
    "update_loss_scale embedding_grad_into einsum_into").split(" "),
);

const lowerable = (nodes: readonly Node[]) =>
  nodes.every(({ op }) => op.leaf !== undefined || op.lowerable);

/** The operations of the cases that ONNX Runtime has computed. */
const computed = new Set<string>();

async function check(one: OpCase): Promise<boolean> {
  const { sizes = {}, atol = 1e-5, rtol = 1e-5 } = one;
  const nodes = one.inputs.map(({ shape, dtype = "f32" }, i) => input(`x${i}`, shape, dtype));
  const y = one.build(nodes);
  const order = topological([y]);
  if (!lowerable(order)) return false;
  const flat = one.inputs.map(({ shape, values }) =>
    values === undefined
      ? randomNormal(elements(bindShape(shape, sizes)))
      : Float64Array.from(values)
  );
  const expected = one.reference(flat);
  const largest = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const given = Object.fromEntries(
    flat.map((data, i) => [`x${i}`, { data, dims: bindShape(one.inputs[i].shape, sizes) }]),
  );
  const found = await runNode(y, given, sizes);
  expectClose(`${one.name} in ONNX`, found, expected, atol + 1e-6 * largest, rtol);
  for (const { op } of order) computed.add(op.name);
  return true;
}

Deno.test("lowerings match the f64 references of their operations", async () => {
  const cases = await allCases();
  const skipped = new Set<string>();
  for (const one of cases) {
    if (!await check(one)) skipped.add(one.name.split(" ")[0]);
  }
  assertEquals([...skipped].sort(), ["cross-entropy", "dropout"]);
});

Deno.test("every operation with a lowering is computed above, every other is training's", async () => {
  const x = input("x", [symbol("B"), 3], "f32");
  const y = add(detach(scale(x, 2)), fill([symbol("B"), 1], 10));
  const given = { x: { data: [1, 2, 3, 4, 5, 6], dims: [2, 3] } };
  assertEquals([...await runNode(y, given)], [12, 14, 16, 18, 20, 22]);
  for (const name of ["detach", "fill"]) computed.add(name);
  for (const { name, leaf, lowerable } of operations()) {
    if (leaf !== undefined) continue;
    if (lowerable) assert(computed.has(name), `no case computes the lowering of ${name}`);
    else assert(TRAINING.has(name) || name.endsWith("_grad"), `${name} has no lowering`);
  }
});

Deno.test("what cannot be lowered is named", () => {
  const [B, T] = [symbol("B"), symbol("T")];
  const x = input("x", [B, 4], "f32");
  const key = input("key", [1], "u32");
  const dropped = dropout(x, {
    probability: 0.5,
    site: "here",
    examples: input("examples", [B], "u32"),
    step: key,
    seed: key,
  });
  const low = (y: Node, given?: Parameters<typeof lower>[1]) => () =>
    lower(new Map([["y", y]]), given);
  assertThrows(low(dropped), TypeError, "Cannot lower dropout to ONNX: it has no lowering");
  const table = constant([T, 4], "f32", ([rows]) => new Float32Array(4 * rows));
  assertThrows(low(table), TypeError, "a constant [T, 4] depends on the sizes of a batch");
  const ports = [{ name: "x", type: "float", shape: [4] }] as const;
  assertThrows(low(x, { ports, sources: {} }), TypeError, "input x has no source; found none");
  const other = { ports, sources: { x: () => "x" } };
  assertThrows(
    low(add(x, input("x", [B, 1], "f32")), { ports, sources: {} }),
    TypeError,
    "has no source",
  );
  assertEquals(low(x, other)().parameters, []);
});
