import { type Node, op } from "../graph/node.ts";
import { type Dim, formatShape, sameDim, sameShape, type Shape } from "../graph/shape.ts";

const reshapeOp = op<{ shape: Shape }>({
  name: "reshape",
  view: true,
  shape: ([x], { shape }) => {
    if (!sameShape(canonical(x.shape), canonical(shape))) {
      throw new TypeError(
        `Cannot reshape ${formatShape(x.shape)} to ${
          formatShape(shape)
        }: the number of elements must not change`,
      );
    }
    return shape;
  },
  dtype: ([x]) => x.dtype,
  run: () => [],
  backward: ({ inputs: [x] }, g) => [reshape(g, x.shape)],
  onnx: (graph, [x], { inputs: [{ shape: from }], shape }) => {
    // As numbers where that can be: 0 keeps the input's dimension, one −1 follows from the rest.
    const kept = (dim: Dim, axis: number) => axis < from.length && sameDim(dim, from[axis]);
    const open = shape.filter((dim, axis) => typeof dim !== "number" && !kept(dim, axis));
    const target = open.length > 1 ? graph.shape(shape) : graph.ints(
      shape.map((dim, axis) => typeof dim === "number" ? dim : kept(dim, axis) ? 0 : -1),
    );
    return graph.node("Reshape", [x, target]);
  },
});

/** The symbols of a shape in order, then the product of its numbers: equal for equal element counts. */
function canonical(shape: Shape): Dim[] {
  const numbers = shape.filter((dim) => typeof dim === "number");
  const symbols = shape.filter((dim) => typeof dim !== "number")
    .sort((a, b) => a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : a.plus - b.plus);
  return [...symbols, numbers.reduce((product, dim) => product * dim, 1)];
}

/** `x` under another shape with as many elements; costs nothing. */
export function reshape(x: Node, shape: Shape): Node {
  return sameShape(x.shape, shape) ? x : reshapeOp([x], { shape });
}
