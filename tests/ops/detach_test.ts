import { assertEquals } from "@std/assert";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { detach } from "../../lib/ops/detach.ts";
import { add, multiply, scale } from "../../lib/ops/elementwise.ts";
import { checkOp, gpuTest } from "../check_op.ts";

Deno.test("no gradient passes through detach()", () => {
  const [x, seed] = [input("x", [3], "f32"), input("seed", [3], "f32")];
  assertEquals(differentiate(detach(scale(x, 2)), seed, [x], add).get(x), []);
});

gpuTest("detach() keeps values; what stands beside it has its gradient", async (gpu) => {
  // y = x ∘ c with c the detached 2x: the value is 2x², the gradient 2x and not 4x, which is that of
  // x ∘ k for a constant k with the values of 2x.
  const values = [1, -2, 0.5];
  await checkOp(gpu, "detach", {
    inputs: [{ shape: [3], values }],
    build: ([x]) => multiply(x, detach(scale(x, 2))),
    reference: ([x]) => x.map((value, i) => value * 2 * values[i]),
  });
});
