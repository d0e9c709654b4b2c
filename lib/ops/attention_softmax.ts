import {
  attentionSoftmaxGradKernel,
  attentionSoftmaxKernel,
} from "../../kernels/attention_softmax.ts";
import { rowTune } from "../../kernels/rows.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
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

interface Attributes {
  readonly scale: number;
  readonly bias: boolean;
  readonly mask: boolean;
  readonly causal: boolean;
}

const attentionSoftmaxOp = op<Attributes>({
  name: "attention_softmax",
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
});

const attentionSoftmaxGradOp = op<{ scale: number }>({
  name: "attention_softmax_grad",
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
  if (!Number.isFinite(scale) || scale === 0) {
    throw new RangeError(`Cannot scale attention scores by ${scale}: it must be finite and not 0`);
  }
  return attentionSoftmaxOp([scores, bias, mask].filter((node) => node !== undefined), {
    scale,
    bias: bias !== undefined,
    mask: mask !== undefined,
    causal,
  });
}
