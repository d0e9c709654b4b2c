import { assert, assertEquals, assertRejects } from "@std/assert";
import { checkOp, gpuTest } from "../check_op.ts";
import { allCases, bindings, importAll, type OpCase } from "../op_cases.ts";
import { Random } from "../../lib/data/random.ts";
import { input } from "../../lib/graph/leaves.ts";
import { type Node, type Op, operations, topological } from "../../lib/graph/node.ts";
import { scale } from "../../lib/ops/elementwise.ts";

await importAll(new URL("../../lib/ops/", import.meta.url));
const cases = (await allCases()).filter((check) => check.differentiable !== false);

/** One input of one operation, in the backward rule of which an error is planted. */
interface Spot {
  readonly operation: string;
  readonly index: number;
}

/** The inputs of operations of a case that gradients pass through. */
function spots(check: OpCase): Spot[] {
  const leaves = check.inputs.map(({ shape, dtype = "f32" }, i) => input(`x${i}`, shape, dtype));
  const needed = new Set<Node>(
    leaves.filter((leaf, i) => leaf.dtype === "f32" && !check.inputs[i].constant),
  );
  const found = new Map<string, Spot>();
  for (const node of topological([check.build(leaves)])) {
    if (node.op.stopsGradient) continue;
    node.inputs.forEach((from, index) => {
      if (!needed.has(from)) return;
      needed.add(node);
      found.set(`${node.op.name} ${index}`, { operation: node.op.name, index });
    });
  }
  return [...found.values()];
}

/** The same graph, in which one gradient of one operation comes out multiplied by `factor`. */
function tampered(root: Node, { operation, index }: Spot, factor: number): Node {
  const copies = new Map<Node, Node>();
  for (const node of topological([root])) {
    // Leaves stay the same nodes, for they are what gradients are asked of.
    if (node.op.leaf !== undefined) {
      copies.set(node, node);
      continue;
    }
    const op = node.op.name === operation ? wrongOp(node.op, index, factor) : node.op;
    copies.set(node, { ...node, op, inputs: node.inputs.map((from) => copies.get(from)!) });
  }
  return copies.get(root)!;
}

function wrongOp(op: Op, index: number, factor: number): Op {
  return {
    ...op,
    backward: (node, gradient, needs) => {
      const only = (wanted: (i: number) => boolean) => needs.map((need, i) => need && wanted(i));
      // Gradients are linear in the output's, which fits a binding even where the input's does not.
      const wrong = op.backward(node, scale(gradient, factor), only((i) => i === index));
      const right = op.backward(node, gradient, only((i) => i !== index));
      return right.map((result, i) => i === index ? wrong[i] : result);
    },
  };
}

/** A factor that is wrong by 5 to 50 %, or has the wrong sign. */
function wrongFactor(check: OpCase, { operation, index }: Spot): number {
  const random = new Random(0, check.name, operation, index);
  const error = random.uniform(0.05, 0.5);
  const factor = random.uniform() < 0.5 ? 1 + error : 1 - error;
  return random.uniform() < 0.25 ? -factor : factor;
}

for (const maxBinding of bindings(cases)) {
  const limit = maxBinding === undefined ? "" : `, bindings of ${maxBinding} bytes`;
  gpuTest(`checkOp() fails on a wrong factor in any operation's backward${limit}`, async (gpu) => {
    for (const check of cases) {
      if (check.maxBinding !== maxBinding || check.flat) continue;
      for (const spot of spots(check)) {
        const factor = wrongFactor(check, spot);
        await assertRejects(
          () =>
            checkOp(gpu, check.name, {
              ...check,
              build: (inputs) => tampered(check.build(inputs), spot, factor),
            }),
          Error,
          "gradient of input",
          `${check.name} passes with gradient ${spot.index} of ${spot.operation} times ${factor}`,
        );
      }
    }
  }, maxBinding);
}

Deno.test("every operation with a backward rule has a case", () => {
  const covered = new Set(
    cases.filter(({ flat }) => !flat).flatMap((check) => spots(check).map((s) => s.operation)),
  );
  const missing = operations().filter(({ differentiable, name }) =>
    differentiable && !covered.has(name)
  );
  assertEquals(missing.map(({ name }) => name), []);
});

Deno.test("no two operations, and no two cases, share a name", () => {
  for (const list of [operations(), cases]) {
    const names = list.map(({ name }) => name);
    const twice = names.filter((name, i) => names.indexOf(name) !== i);
    assert(twice.length === 0, `${twice.join(", ")} is there more than once`);
  }
});
