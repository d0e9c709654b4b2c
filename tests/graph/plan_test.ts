import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { input, variable } from "../../lib/graph/leaves.ts";
import { type Node, storage } from "../../lib/graph/node.ts";
import { placeOf, plan } from "../../lib/graph/plan.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { accumulate } from "../../lib/ops/accumulate.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add, multiply, scale } from "../../lib/ops/elementwise.ts";
import { joinRows, rows } from "../../lib/ops/rows.ts";
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
  let inPlace = 0;
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 40 }), (choices) => {
      const nodes = randomGraph(choices);
      const roots = nodes.slice(-2);
      const { order, slots, slotBytes } = plan(roots, {}, roots, undefined, []);
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
          // In place, of what nothing reads later (which the line above would see).
          const over = node.inputs.filter((one) => slots.get(storage(one)) === slot);
          assert(over.length <= 1);
          inPlace += over.length;
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
  assert(inPlace > 100, `only ${inPlace} nodes in place`);
});

const SHARES = { of: 3, count: 4 };

/** A random graph of tensors of three shares of 4 · 64 numbers, taken apart and joined. */
function randomShares(choices: readonly number[]): Node[] {
  const wholes: Node[] = [input("a", [12, 64], "f32")];
  const shares: Node[] = [rows(wholes[0], 1, SHARES)];
  for (const choice of choices) {
    const pick = (list: readonly Node[], n: number) => list[n % list.length];
    const [i, j, k] = [choice >> 3, choice >> 7, choice >> 11];
    const index = k % 3;
    [
      () => shares.push(rows(pick(wholes, i), index, SHARES)),
      () => shares.push(add(pick(shares, i), pick(shares, j))),
      () => wholes.push(add(pick(wholes, i), pick(wholes, j))),
      () => {
        const parts = [i, j, k].map((n, at) => ({ index: at, part: pick(shares, n) }));
        wholes.push(joinRows(parts.filter((_, at) => at !== index), 12, SHARES));
        wholes.push(joinRows(parts, 12, SHARES));
      },
    ][choice % 4]();
  }
  return [wholes[wholes.length - 1], shares[shares.length - 1]];
}

Deno.test("plan() never lets a share be overwritten while something still reads it", () => {
  let windows = 0;
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 40 }), (choices) => {
      const roots = randomShares(choices);
      const found = plan(roots, {}, roots, undefined, []);
      windows += found.windows.size;
      // What each share of each buffer holds, and what each node should: a number for a value.
      const memory = new Map<number | Node, number[]>();
      const values = new Map<Node, number[]>();
      const known = new Map<string, number>();
      const valueOf = (text: string) => {
        if (!known.has(text)) known.set(text, known.size + 1);
        return known.get(text)!;
      };
      const view = (node: Node) => {
        const { of, offset } = placeOf(found.windows, node);
        const key = of.op.leaf === undefined ? found.slots.get(of)! : of;
        if (!memory.has(key)) memory.set(key, [0, 0, 0]);
        return { key, from: offset / 1024, cells: memory.get(key)! };
      };
      const length = (node: Node) => (node.shape[0] as number) / 4;
      const held = (node: Node) => {
        const { from, cells } = view(node);
        return cells.slice(from, from + length(node));
      };
      const put = (node: Node, at: number, part: readonly number[]) => {
        const { from, cells } = view(node);
        part.forEach((value, i) => cells[from + at + i] = value);
      };
      for (const node of found.order) {
        const { index, indices } = (node.attributes ?? {}) as {
          index: number;
          indices: readonly number[];
        };
        for (const one of node.inputs) assertEquals(held(one), values.get(one));
        const [first, second] = node.inputs.map((one) => values.get(one)!);
        switch (node.op.name) {
          case "rows":
            values.set(node, [first[index]]);
            break;
          case "join_rows":
            values.set(
              node,
              [0, 1, 2].map((at) => {
                const part = node.inputs[indices.indexOf(at)];
                return part === undefined ? valueOf("zero") : values.get(part)![0];
              }),
            );
            break;
          case "add": {
            const { key } = view(node);
            // In place, if at all, where both are all of a buffer.
            const whole = (one: Node) => found.slots.has(storage(one));
            const over = node.inputs.filter((one) => view(one).key === key);
            assert(
              over.length === 0 || (over.length === 1 && whole(over[0]) && whole(node)),
              "one buffer read and written",
            );
            values.set(node, first.map((value, at) => valueOf(`${value} + ${second[at]}`)));
            break;
          }
          default:
            values.set(node, [0, 1, 2].map((at) => valueOf(`a ${at}`)));
        }
        put(node, 0, values.get(node)!);
      }
      for (const root of roots) assertEquals(held(root), values.get(root));
    }),
    { seed: 7, numRuns: 500 },
  );
  assert(windows > 500, `only ${windows} parts of other memory`);
});

Deno.test("plan() reuses the slots of what has died", () => {
  let x: Node = input("x", [symbol("B"), 8], "f32");
  const w = variable("w", [8, 8], "weight");
  for (let i = 0; i < 20; i++) x = einsum("bc,nc->bn", x, w);
  assertEquals(plan([x], { B: 4 }, [x]).slotBytes, [128, 128]);
  // Or takes them over at once.
  for (let i = 0; i < 20; i++) x = scale(x, 1.5);
  assertEquals(plan([x], { B: 4 }, [x], undefined, []).slotBytes, [128, 128]);
  const kept = scale(x, 2);
  assertEquals(plan([scale(kept, 2)], { B: 4 }, [kept], undefined, []).slotBytes, [128, 128]);
});

Deno.test("plan() gives views and variables updated in place no slot", () => {
  const total = variable("total", [8], "gradient");
  const x = input("x", [8], "f32");
  const doubled = scale(x, 2);
  const seen = reshape(doubled, [2, 4]);
  const root = accumulate(total, reshape(seen, [8]));
  assertEquals([...plan([root], {}).slots.keys()], [doubled]);
});
