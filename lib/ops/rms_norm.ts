import {
  rmsFactorKernel,
  rmsNormGradKernel,
  rmsNormKernel,
  rmsWeightPartsKernel,
} from "../../kernels/rms_norm.ts";
import { rowTune } from "../../kernels/rows.ts";
import { type Node, op, type RunContext } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { reshape } from "./reshape.ts";
import { sum } from "./sum.ts";

interface RmsNorm {
  readonly epsilon: number;
}

/** Segments of rows that the gradient of the weight is summed in, before these are summed. */
const PARTS = 64;

function perRow(x: Node, { epsilon }: RmsNorm, { shape }: RunContext) {
  const dims = shape(x);
  const width = dims[dims.length - 1];
  return { params: { rows: elements(dims) / width, width, epsilon }, tune: rowTune(width) };
}

const rmsNormOp = op<RmsNorm>({
  name: "rms_norm",
  flops: 4, // square, sum, two factors
  shape: ([x, w]) => {
    if (x.shape.length < 1 || !sameShape(w.shape, x.shape.slice(-1))) {
      throw new TypeError(
        `Cannot normalise ${formatShape(x.shape)} with weight ${
          formatShape(w.shape)
        }: the weight must have the size of the last axis`,
      );
    }
    return x.shape;
  },
  run: (y, attributes, context) => {
    const [x, w] = y.inputs;
    return [{ kernel: rmsNormKernel, bind: { x, w, y }, ...perRow(x, attributes, context) }];
  },
  backward: ({ inputs: [x, w] }, g, needs, attributes) => [
    needs[0] ? rmsNormGradOp([x, w, g], attributes) : null,
    needs[1]
      ? reshape(sum(rmsWeightPartsOp([x, rmsFactorOp([x], attributes), g], null), 0, 1), w.shape)
      : null,
  ],
  // As runtimes look for it, to compute it at once.
  onnx: (graph, [x, w], _, { epsilon }) => {
    const squares = graph.node("Pow", [x, graph.floats(2)]);
    const mean = graph.node("ReduceMean", [squares], { axes: [-1], keepdims: 1 });
    const root = graph.node("Sqrt", [graph.node("Add", [mean, graph.floats(epsilon)])]);
    return graph.node("Mul", [graph.node("Div", [x, root]), w]);
  },
});

const rmsNormGradOp = op<RmsNorm>({
  name: "rms_norm_grad",
  overwrites: [2],
  epilogue: "dx",
  flops: 10,
  shape: ([x]) => x.shape,
  run: (dx, attributes, context) => {
    const [x, w, g] = dx.inputs;
    return [{
      kernel: rmsNormGradKernel,
      bind: { x, w, g, dx },
      ...perRow(x, attributes, context),
    }];
  },
});

const rmsFactorOp = op<RmsNorm>({
  name: "rms_factor",
  flops: ({ inputs: [x] }, _, shape) => 2 * elements(shape(x)),
  shape: ([x]) => x.shape.slice(0, -1),
  run: (y, attributes, context) => {
    const [x] = y.inputs;
    return [{ kernel: rmsFactorKernel, bind: { x, y }, ...perRow(x, attributes, context) }];
  },
});

const rmsWeightPartsOp = op<null>({
  name: "rms_weight_parts",
  flops: ({ inputs: [x] }, _, shape) => 3 * elements(shape(x)),
  shape: ([x]) => [PARTS, x.shape[x.shape.length - 1]],
  run: (part, _, { shape }) => {
    const [x, r, g] = part.inputs;
    const [rows, width] = [elements(shape(r)), shape(part)[1]];
    return [{
      kernel: rmsWeightPartsKernel,
      bind: { x, r, g, part },
      params: { rows, width, parts: PARTS },
    }];
  },
});

/**
 * Root-mean-square norm over the last axis: y = x/√(mean(x²) + ε) ∘ w (Zhang and Sennrich, 2019).
 *
 * @param x [..., C].
 * @param weight [C].
 * @param epsilon Above 0.
 * @returns [..., C].
 * @throws TypeError where the weight does not fit; RangeError where epsilon is not above 0.
 */
export function rmsNorm(x: Node, weight: Node, epsilon: number): Node {
  if (!(epsilon > 0)) {
    throw new RangeError(`Cannot normalise with epsilon ${epsilon}: it must be above 0`);
  }
  return rmsNormOp([x, weight], { epsilon });
}
