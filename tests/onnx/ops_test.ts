/** Every operation's lowering computes what its f64 reference says, on the cases of its kernels. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { lower } from "../../lib/graph/lower.ts";
import { constant, input } from "../../lib/graph/leaves.ts";
import { type Node, operations, topological } from "../../lib/graph/node.ts";
import { bindShape, elements, plus, symbol } from "../../lib/graph/shape.ts";
import { detach } from "../../lib/ops/detach.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { add, scale } from "../../lib/ops/elementwise.ts";
import { fill } from "../../lib/ops/fill.ts";
import { relativeBias, relativeBucket } from "../../lib/ops/relative_bias.ts";
import { rope, rotaryFrequencies } from "../../lib/ops/rope.ts";
import { expectClose, randomNormal } from "../check_op.ts";
import { runNode } from "../onnx_run.ts";
import { allCases, type OpCase } from "../op_cases.ts";
import "../../lib/train/trainer.ts"; // defines every operation that there is

/** Operations that training alone needs: they have no lowering. */
const TRAINING = new Set(
  ("cross_entropy recorded_cross_entropy dropout layer_statistics layer_weight_parts rms_factor rms_weight_parts " +
    "accumulate record advance adamw adafactor grad_norm_partials clip_coefficient small_update " +
    "update_loss_scale embedding_grad_into einsum_into sum_into rows join_rows " +
    "attention_grad_queries attention_grad_keys").split(" "),
);

const lowerable = (nodes: readonly Node[]) =>
  nodes.every(({ op }) => op.leaf !== undefined || op.lowerable);

/** What a program's passes put in place of others: the graph that is lowered is that before them. */
const BY_PASSES = new Set(["einsum_slices", "sum_slices", "sum_slices_into", "fused"]);

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
  // Losses, dropout, and the shares of cells that train in one program.
  assertEquals([...skipped].sort(), ["cross-entropy", "dropout", "one", "rows", "shares"]);
});

Deno.test("every operation with a lowering is computed above, every other is training's", async () => {
  const x = input("x", [symbol("B"), 3], "f32");
  const y = add(detach(scale(x, 2)), fill([symbol("B"), 1], 10));
  const given = { x: { data: [1, 2, 3, 4, 5, 6], dims: [2, 3] } };
  assertEquals([...await runNode(y, given)], [12, 14, 16, 18, 20, 22]);
  for (const name of ["detach", "fill"]) computed.add(name);
  for (const { name, leaf, lowerable } of operations()) {
    if (leaf !== undefined || BY_PASSES.has(name)) continue;
    if (lowerable) assert(computed.has(name), `no case computes the lowering of ${name}`);
    else assert(TRAINING.has(name) || name.endsWith("_grad"), `${name} has no lowering`);
  }
});

Deno.test("tables that depend on the length are made anew for each", async () => {
  const T = symbol("T");
  const buckets = Float64Array.from({ length: 32 }, (_, i) => i);
  for (const bidirectional of [true, false]) {
    const bias = relativeBias(input("table", [32, 1], "f32"), {
      queries: T,
      keys: plus(T, 3),
      bidirectional,
      maxDistance: 128,
      keyOffset: -3,
    });
    // Beyond the distance from which all share a bucket, and far below it.
    for (const length of [4, 300]) {
      const table = { data: buckets, dims: [32, 1] };
      const found = await runNode(bias, { table }, { T: length });
      const expected = Float32Array.from({ length: length * (length + 3) }, (_, i) => {
        const distance = i % (length + 3) - 3 - Math.floor(i / (length + 3));
        return relativeBucket(distance, bidirectional, 32, 128);
      });
      assertEquals(found, expected, `${length}, ${bidirectional}`);
    }
  }
  const frequencies = rotaryFrequencies({ headSize: 8, theta: 500000 });
  const rotated = rope(input("x", [1, T, 1, 8], "f32"), frequencies, 7);
  for (const length of [3, 4000]) {
    const x = { data: new Float64Array(length * 8).fill(1), dims: [1, length, 1, 8] };
    const expected = x.data.map((_, i) => {
      const angle = (7 + Math.floor(i / 8)) * frequencies[i % 4];
      return Math.cos(angle) + (i % 8 < 4 ? -1 : 1) * Math.sin(angle);
    });
    expectClose(`rope, ${length}`, await runNode(rotated, { x }), expected, 2e-6, 0);
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
