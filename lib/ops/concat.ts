import { copyBlock } from "../../kernels/concat.ts";
import { fillKernel } from "../../kernels/fill.ts";
import { type Dispatch, type Node, op } from "../graph/node.ts";
import { bindDim, type Dim, elements, formatShape, plus, sameDim } from "../graph/shape.ts";

/** The launch that copies `length` entries of an axis of x, from `xStart`, to `yStart` of y. */
function copy({ x, y, axis, dims, out, length, xStart, yStart }: {
  readonly x: Node;
  readonly y: Node;
  readonly axis: number;
  /** Bound shapes of x and y, which differ along the axis alone. */
  readonly dims: readonly number[];
  readonly out: readonly number[];
  readonly length: number;
  readonly xStart: number;
  readonly yStart: number;
}): Dispatch {
  const params = {
    outer: elements(out.slice(0, axis)),
    inner: elements(out.slice(axis + 1)),
    length,
    x_length: dims[axis],
    y_length: out[axis],
    x_start: xStart,
    y_start: yStart,
  };
  return { kernel: copyBlock, bind: { x, y }, params };
}

const concatOp = op<{ axis: number }>({
  name: "concat",
  shape: ([a, b], { axis }) => {
    const fits = a.shape.length === b.shape.length &&
      a.shape.every((dim, i) => i === axis || sameDim(dim, b.shape[i]));
    const first = a.shape[axis];
    if (!fits || typeof first !== "number") {
      throw new TypeError(
        `Cannot concatenate ${formatShape(a.shape)} and ${
          formatShape(b.shape)
        } along axis ${axis}: other sizes must match, and the first must be a number there`,
      );
    }
    return b.shape.map((dim, i) => i === axis ? plus(dim, first) : dim);
  },
  run: (y, { axis }, { shape }) => {
    const out = shape(y);
    let to = 0;
    return y.inputs.map((x) => {
      const dims = shape(x);
      const block = copy({ x, y, axis, dims, out, length: dims[axis], xStart: 0, yStart: to });
      to += dims[axis];
      return block;
    });
  },
  backward: ({ inputs: [a, b] }, g, needs, { axis }) => [
    needs[0] ? slice(g, axis, 0, a.shape[axis]) : null,
    needs[1] ? slice(g, axis, a.shape[axis] as number, b.shape[axis]) : null,
  ],
  onnx: (graph, inputs, _, { axis }) => graph.node("Concat", inputs, { axis }),
});

const sliceOp = op<{ axis: number; start: number; length: Dim }>({
  name: "slice",
  shape: ([x], { axis, length }) => x.shape.map((dim, i) => i === axis ? length : dim),
  run: (y, { axis, start, length }, { shape, sizes }) => {
    const dims = shape(y.inputs[0]);
    const count = bindDim(length, sizes);
    if (start + count > dims[axis]) {
      throw new RangeError(
        `Cannot take ${count} from ${start} along axis ${axis} of [${dims}]: it ends at ${
          dims[axis]
        }`,
      );
    }
    const out = shape(y);
    const [x] = y.inputs;
    return [copy({ x, y, axis, dims, out, length: count, xStart: start, yStart: 0 })];
  },
  // The gradient is zero outside the slice.
  backward: ({ inputs: [x] }, g, _, { axis, start }) => [pad(g, axis, start, x.shape[axis])],
  onnx: (graph, [x], _, { axis, start, length }) =>
    graph.node("Slice", [
      x,
      graph.ints([start]),
      graph.dim(plus(length, start)),
      graph.ints([axis]),
    ]),
});

const padOp = op<{ axis: number; start: number; length: Dim }>({
  name: "pad",
  shape: ([x], { axis, length }) => x.shape.map((dim, i) => i === axis ? length : dim),
  run: (y, { axis, start }, { shape }) => {
    const [dims, out] = [shape(y.inputs[0]), shape(y)];
    const clear: Dispatch = {
      kernel: fillKernel,
      bind: { y },
      params: { n: elements(out), value: 0 },
    };
    const [x] = y.inputs;
    return [clear, copy({ x, y, axis, dims, out, length: dims[axis], xStart: 0, yStart: start })];
  },
  backward: ({ inputs: [x] }, g, _, { axis, start }) => [slice(g, axis, start, x.shape[axis])],
  onnx: (graph, [x], { inputs: [{ shape }] }, { axis, start, length }) => {
    const none = (count: number) => graph.ints(new Array(count).fill(0));
    const behind = graph.node("Sub", [graph.dim(length), graph.dim(plus(shape[axis], start))]);
    const others = shape.length - 1 - axis;
    const pads = [none(axis), graph.ints([start]), none(others + axis), behind, none(others)];
    return graph.node("Pad", [x, graph.node("Concat", pads, { axis: 0 })]);
  },
});

/** `a` followed by `b` along an axis; `a`'s size there is a number. */
export function concat(a: Node, b: Node, axis: number): Node {
  return concatOp([a, b], { axis });
}

/** `length` entries of an axis, from `start`. */
export function slice(x: Node, axis: number, start: number, length: Dim): Node {
  return sliceOp([x], { axis, start, length });
}

/** `x` placed at `start` of a longer axis, zero elsewhere. */
export function pad(x: Node, axis: number, start: number, length: Dim): Node {
  return padOp([x], { axis, start, length });
}
