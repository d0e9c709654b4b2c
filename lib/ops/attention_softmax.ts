import {
  attentionSoftmaxGradKernel,
  attentionSoftmaxKernel,
} from "../../kernels/attention_softmax.ts";
import { rowTune } from "../../kernels/rows.ts";
import { type Node, op } from "../graph/node.ts";
import type { OnnxBuilder, OnnxValue } from "../graph/onnx.ts";
import { type Dim, elements, formatShape, sameShape } from "../graph/shape.ts";
import { scale as scaled } from "./elementwise.ts";
import { reshape } from "./reshape.ts";
import { sum } from "./sum.ts";

/** What shapes attention weights besides their scores. */
export interface AttentionSoftmaxOptions {
  /** Factor of the scores, not 0; 1 unless given. */
  readonly scale?: number;
  /** [H, T, S], added to the scaled scores. */
  readonly bias?: Node;
  /** f32 [B, S]: 1 for a key that may be seen, 0 for one that may not; not differentiated. */
  readonly mask?: Node;
  /** Whether query t sees the keys s ≤ t + S − T alone. */
  readonly causal?: boolean;
}

/** What goes into attention weights besides their scores. */
export interface AttentionWeighting {
  readonly scale: number;
  readonly bias: boolean;
  readonly mask: boolean;
  readonly causal: boolean;
}

const attentionSoftmaxOp = op<AttentionWeighting>({
  name: "attention_softmax",
  overwrites: [0],
  flops: 6, // scale, bias, maximum, exponential, sum, quotient
  shape: ([scores, ...rest], { bias, mask }) => {
    const { shape } = scores;
    const fits = shape.length === 4 &&
      (!bias || sameShape(rest[0].shape, shape.slice(1))) &&
      (!mask || sameShape(rest.at(-1)!.shape, [shape[0], shape[3]]));
    if (!fits) {
      throw new TypeError(
        `Cannot attend by scores ${formatShape(shape)} with ${
          [
            ...(bias ? [`bias ${formatShape(rest[0].shape)}`] : []),
            ...(mask ? [`mask ${formatShape(rest.at(-1)!.shape)}`] : []),
          ].join(" and ") || "nothing else"
        }: they must be [B, H, T, S], [H, T, S] and [B, S]`,
      );
    }
    return shape;
  },
  run: (y, { scale, bias, mask, causal }, { shape }) => {
    const [x, ...rest] = y.inputs;
    const [batch, heads, queries, keys] = shape(x);
    return [{
      kernel: attentionSoftmaxKernel({ bias, mask, causal }),
      bind: {
        x,
        ...(bias ? { bias: rest[0] } : {}),
        ...(mask ? { mask: rest.at(-1)! } : {}),
        y,
      },
      params: { rows: batch * heads * queries, heads, queries, keys, scale },
      tune: rowTune(keys),
    }];
  },
  // From the output p alone: dscores = scale·p∘(g − Σ p∘g); dbias is its sum over B, unscaled.
  backward: (p, g, needs, { scale, bias, mask }) => {
    const towardsScores = attentionSoftmaxGradOp([p, g], { scale });
    return [
      needs[0] ? towardsScores : null,
      ...(bias
        ? [
          needs[1] ? scaled(reshape(sum(towardsScores, 0, 1), p.inputs[1].shape), 1 / scale) : null,
        ]
        : []),
      ...(mask ? [null] : []),
    ];
  },
  onnx: (graph, inputs, { shape: [, , queries, keys] }, attributes) =>
    lowerAttentionSoftmax(graph, inputs, attributes, { queries, keys }),
});

/** Attention weights as ONNX nodes: of scores, then bias and mask where there are such. */
export function lowerAttentionSoftmax(
  graph: OnnxBuilder,
  [scores, ...rest]: readonly OnnxValue[],
  { scale, bias, mask, causal }: AttentionWeighting,
  { queries, keys }: { readonly queries: Dim; readonly keys: Dim },
): OnnxValue {
  let x = scale === 1 ? scores : graph.node("Mul", [scores, graph.floats(scale)]);
  if (bias) x = graph.node("Add", [x, rest[0]]);
  const allowed: OnnxValue[] = [];
  if (mask) {
    const seen = graph.cast(rest.at(-1)!, "bool");
    allowed.push(graph.node("Unsqueeze", [seen, graph.ints([1, 2])])); // [B, 1, 1, S]
  }
  if (causal) {
    // s ≤ t + S − T, both places counted from the end.
    const t = graph.node("Sub", [graph.range(0, queries), graph.dim(queries)]);
    const s = graph.node("Sub", [graph.range(0, keys), graph.dim(keys)]);
    const rows = graph.node("Unsqueeze", [t, graph.ints([1])]);
    allowed.push(graph.node("LessOrEqual", [s, rows])); // [T, S]
  }
  if (allowed.length === 0) return graph.node("Softmax", [x], { axis: -1 });
  const both = allowed.length === 1 ? allowed[0] : graph.node("And", allowed);
  const lowest = graph.node("Where", [both, x, graph.floats(-3.4028234e38)]);
  // A row that sees no key is 0, as kernels leave it.
  const weights = graph.node("Softmax", [lowest], { axis: -1 });
  return graph.node("Where", [both, weights, graph.floats(0)]);
}

const attentionSoftmaxGradOp = op<{ scale: number }>({
  name: "attention_softmax_grad",
  overwrites: [1],
  flops: 5, // p·(g − Σ p·g)·scale
  shape: ([p]) => p.shape,
  run: (dx, { scale }, { shape }) => {
    const [y, g] = dx.inputs;
    const dims = shape(y);
    const keys = dims[3];
    return [{
      kernel: attentionSoftmaxGradKernel,
      bind: { y, g, dx },
      params: { rows: elements(dims) / keys, keys, scale },
      tune: rowTune(keys),
    }];
  },
});

/**
 * Attention weights: softmax over S of scale·scores + bias, over the keys that may be seen.
 *
 * @param scores [B, H, T, S].
 * @returns [B, H, T, S]: exactly 0 where a key may not be seen; a row that sees none is all 0.
 * @throws TypeError where shapes do not fit; RangeError where scale is 0 or not finite.
 */
export function attentionSoftmax(
  scores: Node,
  { scale = 1, bias, mask, causal = false }: AttentionSoftmaxOptions = {},
): Node {
  checkScale(scale);
  return attentionSoftmaxOp([scores, bias, mask].filter((node) => node !== undefined), {
    scale,
    bias: bias !== undefined,
    mask: mask !== undefined,
    causal,
  });
}

/** @throws RangeError where a factor of scores is 0 or not finite. */
export function checkScale(scale: number): void {
  if (!Number.isFinite(scale) || scale === 0) {
    throw new RangeError(`Cannot scale attention scores by ${scale}: it must be finite and not 0`);
  }
}
