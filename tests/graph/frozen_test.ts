import { assertEquals } from "@std/assert";
import { chooseKept } from "../../lib/graph/choose_kept.ts";
import { findFrozen } from "../../lib/graph/frozen.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import type { Node } from "../../lib/graph/node.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { relu } from "../../lib/ops/activations.ts";
import { attention } from "../../lib/ops/attention.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add, multiply } from "../../lib/ops/elementwise.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sum } from "../../lib/ops/sum.ts";

const [B, T] = [symbol("B"), symbol("T")];
const SIZES = { B: 4, T: 8 };
const OPTIONS = { trained: new Set(["trained"]), inputs: new Set(["x", "table"]), rows: B };

/** Three products, of which the last trains; `weights` follows from the whole batch. */
function graph() {
  const x = input("x", [B, T, 64], "f32");
  const frozen = variable("frozen", [64, 64], "weight");
  const trained = variable("trained", [64, 2], "weight");
  const inner = relu(einsum("btc,cd->btd", x, frozen));
  const outer = einsum("btc,cd->btd", inner, frozen);
  const summed = sum(outer, 1, 2); // [B, 1, 64]
  const pooled = reshape(summed, [B, 64]);
  const logits = einsum("bc,cd->bd", pooled, trained);
  const total = multiply(logits, input("weights", [B, 2], "f32"));
  return { x, frozen, inner, outer, summed, pooled, logits, total };
}

const none: ReadonlySet<Node> = new Set();

Deno.test("findFrozen() ends where something trains, or follows from more than an example", () => {
  const { frozen, inner, outer, pooled, total } = graph();
  const square = einsum("btc,cd->btd", outer, multiply(frozen, frozen));
  const found = findFrozen([total, square], OPTIONS);
  for (const node of [inner, outer, pooled, square]) {
    assertEquals([found.nodes.has(node), found.byExample.has(node)], [true, true]);
  }
  const [product] = square.inputs.slice(1);
  assertEquals([found.nodes.has(product), found.byExample.has(product)], [true, false]);
  assertEquals(found.nodes.has(total), false);
  assertEquals(found.read.has(pooled), true);
  assertEquals(found.read.has(inner), false);
});

Deno.test("what mixes examples is not by example", () => {
  const x = input("x", [B, 64], "f32");
  const table = input("table", [64], "f32");
  const own = add(x, table);
  const mixed = sum(own, 0, 1); // [1, 64]
  const back = add(own, mixed);
  const found = findFrozen([multiply(back, variable("trained", [64], "weight"))], OPTIONS);
  assertEquals(
    [own, mixed, back].map((node) => [found.nodes.has(node), found.byExample.has(node)]),
    [[true, true], [true, false], [true, false]],
  );
});

Deno.test("attention in one launch keeps examples apart", () => {
  const heads = reshape(input("x", [B, T, 16], "f32"), [B, T, 2, 8]);
  const mask = input("table", [B, T], "f32");
  const mixed = attention(heads, heads, heads, { mask });
  const [launch] = mixed.inputs;
  const found = findFrozen([multiply(mixed, variable("trained", [8], "weight"))], OPTIONS);
  assertEquals([found.nodes.has(launch), found.byExample.has(launch)], [true, false]);
  assertEquals([found.nodes.has(mixed), found.byExample.has(mixed)], [true, true]);
});

Deno.test("chooseKept() keeps the smallest values that spare the most, or nothing", () => {
  const { outer, summed, total, logits } = graph();
  const frozen = findFrozen([total], OPTIONS);
  assertEquals(chooseKept(frozen, SIZES, 1, none), [summed]);
  assertEquals(chooseKept(frozen, SIZES, 1e6, none), []);
  // Where the tokens' values are read as well, to sum them up again would move more bytes.
  const both = findFrozen([total, multiply(outer, sum(reshape(logits, [B, 1, 2]), 2, 3))], OPTIONS);
  assertEquals(chooseKept(both, SIZES, 1, none), [outer, summed]);
  const little = findFrozen([multiply(relu(graph().x), sum(reshape(logits, [B, 1, 2]), 2, 3))], {
    ...OPTIONS,
    trained: new Set(["trained", "frozen"]),
  });
  assertEquals(chooseKept(little, SIZES, 1, none), []);
});
