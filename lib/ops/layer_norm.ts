import {
  layerNormGradKernel,
  layerNormKernel,
  layerStatisticsKernel,
  layerWeightPartsKernel,
} from "../../kernels/layer_norm.ts";
import { rowTune } from "../../kernels/rows.ts";
import { type Node, op, type RunContext } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { reshape } from "./reshape.ts";
import { sum, sumTo } from "./sum.ts";

interface LayerNorm {
  readonly epsilon: number;
}

/** Segments of rows that the gradient of the weight is summed in, before these are summed. */
const PARTS = 64;

function perRow(x: Node, { epsilon }: LayerNorm, { shape }: RunContext) {
  const dims = shape(x);
  const width = dims[dims.length - 1];
  return { params: { rows: elements(dims) / width, width, epsilon }, tune: rowTune(width) };
}

const layerNormOp = op<LayerNorm>({
  name: "layer_norm",
  flops: 9, // mean, what is left of it, variance, difference, factor, weight, bias
  shape: ([x, w, b]) => {
    const last = x.shape.slice(-1);
    if (x.shape.length < 1 || !sameShape(w.shape, last) || !sameShape(b.shape, last)) {
      throw new TypeError(
        `Cannot normalise ${formatShape(x.shape)} with weight ${formatShape(w.shape)} and bias ${
          formatShape(b.shape)
        }: both must have the size of the last axis`,
      );
    }
    return x.shape;
  },
  run: (y, attributes, context) => {
    const [x, w, b] = y.inputs;
    return [{ kernel: layerNormKernel, bind: { x, w, b, y }, ...perRow(x, attributes, context) }];
  },
  backward: ({ inputs: [x, w, b] }, g, needs, attributes) => [
    needs[0] ? layerNormGradOp([x, w, g], attributes) : null,
    needs[1]
      ? reshape(
        sum(layerWeightPartsOp([x, layerStatisticsOp([x], attributes), g], null), 0, 1),
        w.shape,
      )
      : null,
    needs[2] ? sumTo(g, b.shape) : null,
  ],
  // Without the mean first: runtimes take the variance as mean(x²) − mean(x)², which loses digits.
  onnx: (graph, [x, w, b], _, { epsilon }) => {
    const mean = graph.node("ReduceMean", [x], { axes: [-1], keepdims: 1 });
    const centred = graph.node("Sub", [x, mean]);
    const attributes = { axis: -1, epsilon: { float: epsilon } };
    return graph.node("LayerNormalization", [centred, w, b], attributes);
  },
});

const layerNormGradOp = op<LayerNorm>({
  name: "layer_norm_grad",
  overwrites: [2],
  epilogue: "dx",
  flops: 20, // the statistics again, two means over the row, their pull
  shape: ([x]) => x.shape,
  run: (dx, attributes, context) => {
    const [x, w, g] = dx.inputs;
    return [{
      kernel: layerNormGradKernel,
      bind: { x, w, g, dx },
      ...perRow(x, attributes, context),
    }];
  },
});

const layerStatisticsOp = op<LayerNorm>({
  name: "layer_statistics",
  flops: ({ inputs: [x] }, _, shape) => 5 * elements(shape(x)),
  shape: ([x]) => [...x.shape.slice(0, -1), 3],
  run: (y, attributes, context) => {
    const [x] = y.inputs;
    return [{ kernel: layerStatisticsKernel, bind: { x, y }, ...perRow(x, attributes, context) }];
  },
});

const layerWeightPartsOp = op<null>({
  name: "layer_weight_parts",
  flops: ({ inputs: [x] }, _, shape) => 5 * elements(shape(x)),
  shape: ([x]) => [PARTS, x.shape[x.shape.length - 1]],
  run: (part, _, { shape }) => {
    const [x, s, g] = part.inputs;
    const [rows, width] = [elements(shape(s)) / 3, shape(part)[1]];
    return [{
      kernel: layerWeightPartsKernel,
      bind: { x, s, g, part },
      params: { rows, width, parts: PARTS },
    }];
  },
});

/**
 * Layer norm over the last axis: y = (x − mean(x))/√(variance(x) + ε) ∘ w + b (Ba, Kiros and
 * Hinton, 2016); the variance is the mean of squares, not an unbiased estimate.
 *
 * @param x [..., C].
 * @param weight [C].
 * @param bias [C].
 * @param epsilon Above 0.
 * @returns [..., C].
 * @throws TypeError where weight or bias do not fit; RangeError where epsilon is not above 0.
 */
export function layerNorm(x: Node, weight: Node, bias: Node, epsilon: number): Node {
  if (!(epsilon > 0)) {
    throw new RangeError(`Cannot normalise with epsilon ${epsilon}: it must be above 0`);
  }
  return layerNormOp([x, weight, bias], { epsilon });
}
