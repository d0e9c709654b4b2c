import { checkOp, gpuTest, type HalfStorage } from "../check_op.ts";
import { allCases, bindings, type OpCase } from "../op_cases.ts";
import { type Node, storage } from "../../lib/graph/node.ts";

const owns = (node: Node) => node.dtype === "f32" && storage(node) === node;

/** Half precision is read exactly, and every result is f32: the tolerance is that of f32. */
const reads: HalfStorage = {
  policy: (order) => new Set(order.filter((node) => owns(node) && node.op.leaf === "input")),
  output: 0,
  gradient: 0,
};

/** Factors of a row, which exceed half precision where the row is small; no policy stores them so. */
const FACTORS = ["layer_statistics", "rms_factor"];

/**
 * Each value is rounded as well, to within 2⁻¹¹ of itself, and a case has a few values between
 * input and output: up to eight roundings, one behind the other.
 */
const writes: HalfStorage = {
  policy: (order) =>
    new Set(
      order.filter((node) =>
        owns(node) && (node.op.leaf ?? "input") === "input" && !FACTORS.includes(node.op.name)
      ),
    ),
  output: 2 ** -8,
  gradient: 2 ** -7,
};

/** Whether half precision holds the values of a case: within 65504, and not all below 2⁻¹⁴. */
const fits = ({ name, inputs }: OpCase) =>
  !name.includes("millionths") &&
  inputs.every(({ values = [] }) => Array.from(values).every((x) => Math.abs(x) < 65504));

const cases = (await allCases()).filter(fits);

for (const maxBinding of bindings(cases)) {
  const limit = maxBinding === undefined ? "" : `, bindings of ${maxBinding} bytes`;
  for (const [name, half] of Object.entries({ reads, writes })) {
    gpuTest(`every operation ${name} half precision${limit}`, async (gpu) => {
      for (const check of cases.filter((one) => one.maxBinding === maxBinding)) {
        await checkOp(gpu, check.name, check, half);
      }
    }, maxBinding);
  }
}
