import { sumColumns, sumRows } from "../../kernels/sum.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameDim, type Shape } from "../graph/shape.ts";
import { broadcastTo } from "./elementwise.ts";
import { reshape } from "./reshape.ts";

const sumOp = op<{ start: number; end: number }>({
  name: "sum",
  flops: ({ inputs: [x] }, _, shape) => elements(shape(x)),
  shape: ([x], { start, end }) => {
    if (start < 0 || end > x.shape.length || start >= end) {
      throw new RangeError(
        `Cannot sum ${formatShape(x.shape)} over axes ${start} to ${end - 1}: no such axes`,
      );
    }
    return x.shape.map((dim, axis) => axis >= start && axis < end ? 1 : dim);
  },
  run: (y, { start, end }, { shape }) => {
    const [x] = y.inputs;
    const dims = shape(x);
    const outer = elements(dims.slice(0, start));
    const length = elements(dims.slice(start, end));
    const inner = elements(dims.slice(end));
    const bind = { x, y };
    return inner === 1
      ? [{ kernel: sumRows, bind, params: { outer, length } }]
      : [{ kernel: sumColumns, bind, params: { outer, length, inner } }];
  },
  // dx[…] = g, the same for every summed element.
  backward: ({ inputs: [x] }, g) => [broadcastTo(g, x.shape)],
  onnx: (graph, [x], _, { start, end }) => {
    const axes = Array.from({ length: end - start }, (_, i) => start + i);
    return graph.node("ReduceSum", [x, graph.ints(axes)], { keepdims: 1 });
  },
});

/** Sum over the neighbouring axes `start` to `end - 1`, which stay with size 1. */
export function sum(x: Node, start: number, end: number): Node {
  return sumOp([x], { start, end });
}

/** Sums a gradient over the axes along which an input of `shape` was broadcast. */
export function sumTo(g: Node, shape: Shape): Node {
  const lead = g.shape.length - shape.length;
  const repeated = g.shape.map((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && !sameDim(dim, 1))
  );
  let result = g;
  for (let start = 0; start < repeated.length; start++) {
    if (!repeated[start]) continue;
    let end = start + 1;
    while (repeated[end]) end++;
    result = sum(result, start, end);
    start = end;
  }
  return reshape(result, shape);
}
