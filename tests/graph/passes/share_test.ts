import { assert, assertEquals } from "@std/assert";
import { constant, input, variable } from "../../../lib/graph/leaves.ts";
import { repeated, topological } from "../../../lib/graph/node.ts";
import { held } from "../../../lib/graph/passes/rewrite.ts";
import { share } from "../../../lib/graph/passes/share.ts";
import { accumulate } from "../../../lib/ops/accumulate.ts";
import { dropout } from "../../../lib/ops/dropout.ts";
import { add, multiply, scale } from "../../../lib/ops/elementwise.ts";
import { gpuTest } from "../../check_op.ts";
import { program, results } from "./pass_results.ts";

const x = () => input("x", [3, 4], "f32");

Deno.test("share() makes one node of equal ones, whichever made them", () => {
  const a = multiply(scale(x(), 2), scale(x(), 3));
  const b = multiply(scale(x(), 2), scale(x(), 3));
  const shared = share(program([add(a, b)]));
  const names = topological(shared.roots).map(({ op }) => op.name);
  assertEquals(names, ["input", "scale", "scale", "multiply", "add"]);
  const [root] = shared.roots;
  assert(root.inputs[0] === root.inputs[1]);
  assert(held(shared, a) === root.inputs[0] && held(shared, b) === root.inputs[0]);
});

Deno.test("share() tells attributes, constants, sites and signs of zero apart", () => {
  const table = (value: number) => constant([3, 4], "f32", () => new Float32Array(12).fill(value));
  const keys = ["examples", "step", "seed"].map((name) => input(name, [3], "u32"));
  const drop = (site: string) =>
    dropout(x(), {
      probability: 0.5,
      site,
      examples: keys[0],
      step: keys[1],
      seed: keys[2],
    });
  for (
    const pair of [
      [scale(x(), 2), scale(x(), 2.5)],
      [scale(x(), 0), scale(x(), -0)],
      [table(1), table(2)],
      [drop("here"), drop("there")],
    ]
  ) {
    const [one, other] = share(program(pair)).roots;
    assert(one !== other);
  }
  const [one, other] = share(program([drop("here"), drop("here")])).roots;
  assert(one === other);
});

Deno.test("share() leaves what is computed again, and reads of what changes in between", () => {
  const y = scale(x(), 2);
  const again = repeated(y, y.inputs);
  assertEquals(share(program([y, again])).roots.map(({ id }) => id), [y.id, again.id]);
  const total = variable("total", [3, 4], "gradient");
  const before = scale(total, 2);
  const update = accumulate(total, x());
  const after = scale(variable("total", [3, 4], "gradient"), 2);
  const roots = share(program([before, update, after])).roots;
  assertEquals(new Set(roots).size, 3);
});

gpuTest("what is shared holds the same bits", async (gpu) => {
  const nodes = [0, 1].map(() => multiply(scale(x(), 2), scale(x(), 1 / 3)));
  const roots = [...nodes, add(nodes[0], nodes[1])];
  const [plain, shared] = [await results(gpu, roots, []), await results(gpu, roots, [share])];
  assertEquals([plain.kernels.length, shared.kernels.length], [7, 4]);
  assertEquals(shared.values, plain.values);
});
