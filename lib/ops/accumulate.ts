import { accumulateKernel } from "../../kernels/accumulate.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";

const accumulateOp = op<null>({
  name: "accumulate",
  groupable: true,
  flops: 1,
  inPlace: true,
  shape: ([variable, value]) => {
    if (!sameShape(variable.shape, value.shape)) {
      throw new TypeError(
        `Cannot accumulate ${formatShape(value.shape)} into ${
          formatShape(variable.shape)
        }: shapes must be equal`,
      );
    }
    return variable.shape;
  },
  run: ({ inputs: [variable, value] }, _, context) =>
    rowShards(context.shape(variable), context.maxBinding).map((rows) => {
      const n = rows.count * elements(context.shape(variable).slice(1));
      return {
        kernel: accumulateKernel(n),
        bind: { x: { node: value, rows }, y: { node: variable, rows } },
        params: { n },
      };
    }),
});

/** Adds `value` into a variable, in place; returns the variable's new value. */
export function accumulate(variable: Node, value: Node): Node {
  return accumulateOp([variable, value], null);
}
