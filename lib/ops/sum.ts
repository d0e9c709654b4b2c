import { sumColumns, sumRows } from "../../kernels/sum.ts";
import { type Dispatch, type Node, op, type RunContext } from "../graph/node.ts";
import { elements, formatShape, sameDim, sameShape, type Shape } from "../graph/shape.ts";
import { broadcastTo } from "./elementwise.ts";
import { reshape } from "./reshape.ts";

/** Neighbouring axes. */
interface Axes {
  readonly start: number;
  /** Behind the last. */
  readonly end: number;
}

const sumOp = op<Axes>({
  name: "sum",
  groupable: true,
  flops: ({ inputs: [x] }, _, shape) => elements(shape(x)),
  shape: ([x], { start, end }) => {
    if (start < 0 || end > x.shape.length || start >= end) {
      throw new RangeError(
        `Cannot sum ${formatShape(x.shape)} over axes ${start} to ${end - 1}: no such axes`,
      );
    }
    return x.shape.map((dim, axis) => axis >= start && axis < end ? 1 : dim);
  },
  run: (y, axes, context) => [launch("plain", y.inputs[0], y, axes, context)],
  // dx[…] = g, the same for every summed element.
  backward: ({ inputs: [x] }, g) => [broadcastTo(g, x.shape)],
  onnx: (graph, [x], _, { start, end }) => {
    const axes = Array.from({ length: end - start }, (_, i) => start + i);
    return graph.node("ReduceSum", [x, graph.ints(axes)], { keepdims: 1 });
  },
});

const sumIntoOp = op<Axes>({
  name: "sum_into",
  groupable: true,
  flops: ({ inputs: [_, x] }, __, shape) => elements(shape(x)),
  inPlace: true,
  shape: ([variable]) => variable.shape,
  run: ({ inputs: [variable, x] }, axes, context) => [launch("into", x, variable, axes, context)],
});

function launch(
  way: "plain" | "into",
  x: Node,
  y: Node,
  { start, end }: Axes,
  { shape }: RunContext,
): Dispatch {
  const dims = shape(x);
  const outer = elements(dims.slice(0, start));
  const length = elements(dims.slice(start, end));
  const inner = elements(dims.slice(end));
  const bind = { x, y };
  return inner === 1
    ? { kernel: sumRows[way], bind, params: { outer, length } }
    : { kernel: sumColumns[way], bind, params: { outer, length, inner } };
}

/** The sum that a node is another shape of, if it is. */
function sumOf(node: Node): Node | null {
  let at = node;
  while (at.op.view) [at] = at.inputs;
  return at.op.name === "sum" ? at : null;
}

/** What all is added up in a node of one number; null where it is no sum. */
export function summed(node: Node): Node | null {
  return sumOf(node)?.inputs[0] ?? null;
}

/** Whether a node is a sum, which {@linkcode sumInto} can add. */
export function isSum(node: Node): boolean {
  return sumOf(node) !== null;
}

/**
 * Adds a sum into a variable, without storing it in between.
 *
 * @throws TypeError where the node is no sum or the shapes differ.
 */
export function sumInto(variable: Node, total: Node): Node {
  const sum = sumOf(total);
  if (sum === null || !sameShape(variable.shape, total.shape)) {
    throw new TypeError(
      `Cannot accumulate a ${total.op.name} of ${formatShape(total.shape)} into ${
        formatShape(variable.shape)
      }: it must be a sum of that shape`,
    );
  }
  return sumIntoOp([variable, ...sum.inputs], sum.attributes as Axes);
}

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
