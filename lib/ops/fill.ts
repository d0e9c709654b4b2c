import { fillKernel } from "../../kernels/fill.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, type Shape } from "../graph/shape.ts";

const fillOp = op<{ shape: Shape; value: number }>({
  name: "fill",
  shape: (_, { shape }) => shape,
  run: (y, { value }, { shape }) => [
    { kernel: fillKernel, bind: { y }, params: { n: elements(shape(y)), value } },
  ],
  onnx: (graph, _, { shape }, { value }) =>
    graph.node("Expand", [graph.floats(value), graph.shape(shape)]),
});

/** A tensor of one value. */
export function fill(shape: Shape, value: number): Node {
  return fillOp([], { shape, value });
}

/** The value that a node is filled with; undefined where it is another's. */
export function filledWith({ op, inputs, attributes }: Node): number | undefined {
  if (op.name === "broadcast" || op.view) return filledWith(inputs[0]);
  return op.name === "fill" ? (attributes as { value: number }).value : undefined;
}
