import { assertThrows } from "@std/assert";
import { checkOp, gpuTest } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases, crossEntropyReference } from "./cases/cross_entropy.ts";
import { input } from "../../lib/graph/leaves.ts";
import { crossEntropy } from "../../lib/ops/cross_entropy.ts";

testCases("crossEntropy()", cases);

gpuTest("crossEntropy() matches its f64 reference over T5's vocabulary", async (gpu) => {
  await checkOp(gpu, "cross-entropy [3,32128]", {
    inputs: [{ shape: [3, 32128] }, { shape: [3], dtype: "i32", values: [32127, -100, 1465] }],
    build: ([x, labels]) => crossEntropy(x, labels),
    reference: ([x, labels]) => crossEntropyReference(x, labels),
  });
});

Deno.test("crossEntropy() refuses labels that do not fit the logits", () => {
  const logits = input("logits", [4, 3], "f32");
  assertThrows(() => crossEntropy(logits, input("labels", [3], "i32")), TypeError, "i32 [3]");
  assertThrows(() => crossEntropy(logits, input("labels", [4], "u32")), TypeError, "u32 [4]");
});
