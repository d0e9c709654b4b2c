import { assertEquals, assertThrows } from "@std/assert";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/rms_norm.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { rmsNorm } from "../../lib/ops/rms_norm.ts";

testCases("rmsNorm()", cases);

Deno.test("rmsNorm() computes nothing for a frozen weight", () => {
  const [x, w] = [input("x", [4, 8], "f32"), input("w", [8], "f32")];
  const y = rmsNorm(x, w, 1e-6);
  const names = (wrt: typeof x) =>
    topological(differentiate(y, input("g", y.shape, "f32"), [wrt], add).get(wrt)!)
      .map(({ op }) => op.name).filter((name) => name !== "input");
  assertEquals(names(x), ["rms_norm_grad"]);
  assertEquals(names(w), ["rms_factor", "rms_weight_parts", "sum", "reshape"]);
});

Deno.test("rmsNorm() refuses a weight of another size, and an epsilon of 0", () => {
  const x = input("x", [4, 8], "f32");
  assertThrows(
    () => rmsNorm(x, input("w", [7], "f32"), 1e-6),
    TypeError,
    "Cannot normalise [4, 8] with weight [7]: the weight must have the size of the last axis",
  );
  assertThrows(() => rmsNorm(x, input("w", [8], "f32"), 0), RangeError, "epsilon 0");
});
