import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { input, variable } from "../../lib/graph/leaves.ts";
import { type Node, storage } from "../../lib/graph/node.ts";
import { plan } from "../../lib/graph/plan.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { accumulate } from "../../lib/ops/accumulate.ts";
import { add, multiply, scale } from "../../lib/ops/elementwise.ts";
import { reshape } from "../../lib/ops/reshape.ts";

/** A random graph of elementwise nodes and views over a few inputs. */
function randomGraph(choices: readonly number[]): Node[] {
  const nodes: Node[] = [input("a", [4, 6], "f32"), input("b", [4, 6], "f32")];
  for (const choice of choices) {
    const pick = (n: number) => nodes[n % nodes.length];
    const [x, y] = [pick(choice >> 2), pick(choice >> 9)];
    const flat = (node: Node) => reshape(node, [4, 6]);
    const made = [
      () => add(flat(x), flat(y)),
      () => multiply(flat(x), flat(y)),
      () => scale(x, 2),
      () => reshape(x, x.shape.length === 1 ? [4, 6] : [24]),
    ][choice % 4]();
    nodes.push(made);
  }
  return nodes;
}

Deno.test("plan() never lets two live values share a slot", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 40 }), (choices) => {
      const nodes = randomGraph(choices);
      const roots = nodes.slice(-2);
      const { order, slots, slotBytes } = plan(roots, {}, roots);
      // Replay the program and track which node's value each slot holds.
      const holds = new Map<number, Node>();
      for (const node of order) {
        for (const one of node.inputs) {
          const owner = storage(one);
          if (owner.op.leaf === undefined) assert(holds.get(slots.get(owner)!) === owner);
        }
        if (node.op.leaf === undefined && storage(node) === node) {
          const slot = slots.get(node)!;
          assert(slotBytes[slot] >= 96);
          assert(node.inputs.every((one) => slots.get(storage(one)) !== slot));
          holds.set(slot, node);
        }
      }
      for (const root of roots) {
        const owner = storage(root);
        if (owner.op.leaf === undefined) assert(holds.get(slots.get(owner)!) === owner);
      }
    }),
    { seed: 7, numRuns: 300 },
  );
});

Deno.test("plan() reuses the slots of what has died", () => {
  let x: Node = input("x", [symbol("B"), 8], "f32");
  for (let i = 0; i < 20; i++) x = scale(x, 1.5);
  assertEquals(plan([x], { B: 4 }, [x]).slotBytes, [128, 128]);
});

Deno.test("plan() gives views and variables updated in place no slot", () => {
  const total = variable("total", [8], "gradient");
  const x = input("x", [8], "f32");
  const doubled = scale(x, 2);
  const seen = reshape(doubled, [2, 4]);
  const root = accumulate(total, reshape(seen, [8]));
  assertEquals([...plan([root], {}).slots.keys()], [doubled]);
});
