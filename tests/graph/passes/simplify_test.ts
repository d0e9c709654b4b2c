import { assertEquals } from "@std/assert";
import { input, variable } from "../../../lib/graph/leaves.ts";
import { simplify } from "../../../lib/graph/passes/simplify.ts";
import { accumulate } from "../../../lib/ops/accumulate.ts";
import { add, multiply, scale } from "../../../lib/ops/elementwise.ts";
import { fill } from "../../../lib/ops/fill.ts";
import { program } from "./pass_results.ts";
import { plan } from "../../../lib/graph/plan.ts";

const x = input("x", [3, 4], "f32");

Deno.test("simplify() drops factors of one and tensors of ones, and nothing else", () => {
  const same = multiply(fill([3, 4], 1), scale(multiply(x, fill([4], 1)), 1));
  const root = add(x, same);
  assertEquals(simplify(program([root]), []).roots.map(({ inputs }) => inputs), [[x, x]]);
  // The shape, or the factor, is another.
  for (const other of [multiply(fill([2, 3, 4], 1), x), scale(x, -1), multiply(x, fill([4], 2))]) {
    const root = scale(other, 2);
    assertEquals(simplify(program([root]), []).roots, [root]);
  }
});

Deno.test("simplify() leaves what is read, and what a variable held before it changed", () => {
  const one = scale(x, 1);
  assertEquals(simplify(program([one]), [one]).roots, [one]);
  const total = variable("total", [3, 4], "gradient");
  const before = scale(total, 1);
  const roots = [accumulate(total, x), scale(before, 3)];
  assertEquals(simplify(program(roots), []).roots, roots);
});

Deno.test("what a factor of one leaves without readers is not computed", () => {
  const ones = fill([3, 4], 1);
  const { order } = plan([scale(multiply(x, ones), 2)], {});
  assertEquals(order.map(({ op }) => op.name), ["input", "scale"]);
});
