import { assertEquals, assertThrows } from "@std/assert";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/layer_norm.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { layerNorm } from "../../lib/ops/layer_norm.ts";

testCases("layerNorm()", cases);

Deno.test("layerNorm() computes nothing for frozen parameters", () => {
  const [x, w, b] = [[4, 8], [8], [8]].map((shape, i) => input("xwb"[i], shape, "f32"));
  const y = layerNorm(x, w, b, 1e-12);
  const names = (wrt: typeof x) =>
    topological(differentiate(y, input("g", y.shape, "f32"), [wrt], add).get(wrt)!)
      .map(({ op }) => op.name).filter((name) => name !== "input");
  assertEquals(names(x), ["layer_norm_grad"]);
  assertEquals(names(w), ["layer_statistics", "layer_weight_parts", "sum", "reshape"]);
  assertEquals(names(b), ["sum", "reshape"]);
});

Deno.test("layerNorm() refuses parameters of another size, and an epsilon of 0", () => {
  const x = input("x", [4, 8], "f32");
  const [right, wrong] = [8, 7].map((size) => input("w", [size], "f32"));
  for (const [w, b] of [[wrong, right], [right, wrong]]) {
    assertThrows(() => layerNorm(x, w, b, 1e-5), TypeError, "must have the size of the last axis");
  }
  assertThrows(() => layerNorm(x, right, right, 0), RangeError, "epsilon 0");
});
