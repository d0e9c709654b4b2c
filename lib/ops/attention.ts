import type { AttentionSignature } from "../../kernels/attention_rows.ts";
import { type AttentionPart, attentionVariants } from "../../kernels/attention_variants.ts";
import type { Params } from "../../kernels/kernel.ts";
import { copyRun } from "../../kernels/copy_run.ts";
import { differentiate } from "../graph/differentiate.ts";
import { type Dispatch, type Node, op, type OpFunction, type RunContext } from "../graph/node.ts";
import type { OnnxBuilder, OnnxValue } from "../graph/onnx.ts";
import { elements, formatShape, plus, sameDim, sameShape } from "../graph/shape.ts";
import {
  attentionSoftmax,
  type AttentionSoftmaxOptions,
  type AttentionWeighting,
  checkScale,
  lowerAttentionSoftmax,
} from "./attention_softmax.ts";
import { einsum } from "./einsum.ts";
import { add, broadcastTo } from "./elementwise.ts";
import { lowerProduct } from "./lower_product.ts";
import { reshape } from "./reshape.ts";
import { rows } from "./rows.ts";

/** Largest head of which an invocation holds a row in registers. */
const LARGEST_HEAD = 128;

/**
 * [D + 4, B, T, H]: the output [B, T, H, D] first, then four numbers for each of its rows that the
 * gradient needs; see the kernel.
 */
const attentionForwardOp: OpFunction<AttentionWeighting> = op<AttentionWeighting>({
  name: "attention_forward",
  stopsGradient: true,
  // Two products, and six for each weight.
  flops: ({ inputs: [q, k] }, _, shape) => weightsOf(shape(q), shape(k)) * (4 * shape(q)[3] + 6),
  shape: ([q, k, v, ...rest], { bias, mask }) => {
    const [batch, queries, heads, size] = q.shape;
    const [, keys, keyHeads] = k.shape;
    const fits = q.shape.length === 4 && k.shape.length === 4 && sameShape(k.shape, v.shape) &&
      sameDim(batch, k.shape[0]) && sameDim(size, k.shape[3]) &&
      Number.isInteger((heads as number) / (keyHeads as number)) &&
      (!bias || sameShape(rest[0].shape, [heads, queries, keys])) &&
      (!mask || sameShape(rest.at(-1)!.shape, [batch, keys]));
    if (!fits) {
      const found = [q, k, v, ...rest].map(({ shape }) => formatShape(shape)).join(", ");
      throw new TypeError(
        `Cannot attend with ${found}: queries, keys and values must be [B, T, H, D] and twice [B, S, K, D], K a divisor of H, bias [H, T, S], mask [B, S]`,
      );
    }
    return [plus(size, 4), batch, queries, heads];
  },
  run: (y, weighting, context) => {
    const [q, k, v, ...rest] = y.inputs;
    return launch("forward", weighting, q, { q, k, v, y }, rest, context);
  },
  onnx: (graph, [q, k, v, ...rest], { inputs }, weighting) => {
    const [queries, keys] = [inputs[0].shape, inputs[1].shape];
    const groups = (queries[2] as number) / (keys[2] as number);
    const repeated = (x: OnnxValue) =>
      lowerRepeatedHeads(graph, x, queries.slice(2) as number[], groups);
    const scores = lowerProduct(graph, "bthd,bshd->bhts", q, repeated(k));
    const weights = lowerAttentionSoftmax(graph, [scores, ...rest], weighting, {
      queries: queries[1],
      keys: keys[1],
    });
    return lowerProduct(graph, "bhts,bshd->bthd", weights, repeated(v));
  },
});

/** The output of attention_forward, and its gradients; reads it and what it was computed from. */
const attentionOp: OpFunction<AttentionWeighting> = op<AttentionWeighting>({
  name: "attention",
  shape: ([_, q]) => q.shape,
  taken: () => 0,
  run: (y, _, { shape }) => {
    const n = elements(shape(y));
    const params = { n, x_start: 0, y_start: 0 };
    return [{ kernel: copyRun("f32", n, 0, 0), bind: { x: y.inputs[0], y }, params }];
  },
  backward: (y, g, [, ...needs], weighting) => {
    const [forward, q, k, v, ...rest] = y.inputs;
    // The gradient of a bias is a sum over all examples of what no launch here stores.
    if (weighting.bias && needs[3]) return [null, ...unfusedGradients(y, g, needs, weighting)];
    const inputs = [q, k, v, forward, g, ...rest];
    const wanted = { ...weighting, keys: needs[1], values: needs[2] };
    const both = needs[1] || needs[2] ? attentionGradKeysOp(inputs, wanted) : null;
    const part = (i: number) =>
      reshape(rows(both!, i, { of: Number(needs[1]) + Number(needs[2]), count: 1 }), k.shape);
    return [
      null,
      needs[0] ? attentionGradQueriesOp(inputs, weighting) : null,
      needs[1] ? part(0) : null,
      needs[2] ? part(needs[1] ? 1 : 0) : null,
      ...rest.map(() => null),
    ];
  },
  onnx: (_, [output]) => output,
});

// The weights computed again are not counted: operations are those of the formula, however it runs.
const attentionGradQueriesOp: OpFunction<AttentionWeighting> = op<AttentionWeighting>({
  name: "attention_grad_queries",
  // An invocation has read its rows of both when it writes.
  overwrites: [0, 4],
  // The gradient of the weights and that of the queries; five for each weight.
  flops: ({ inputs: [q, k] }, _, shape) => weightsOf(shape(q), shape(k)) * (4 * shape(q)[3] + 5),
  shape: ([q]) => q.shape,
  run: (dq, weighting, context) => {
    const [q, k, v, y, g, ...rest] = dq.inputs;
    return launch("grad_queries", weighting, q, { q, k, v, y, g, dq }, rest, context);
  },
});

interface KeyGradients extends AttentionWeighting {
  readonly keys: boolean;
  readonly values: boolean;
}

/** [1 or 2, B, S, K, D]: the gradient of the keys, of the values, or of both. */
const attentionGradKeysOp: OpFunction<KeyGradients> = op<KeyGradients>({
  name: "attention_grad_keys",
  flops: ({ inputs: [q, k] }, { keys, values }, shape) =>
    weightsOf(shape(q), shape(k)) * 2 * shape(q)[3] * (Number(keys) + Number(values)),
  shape: ([, k], { keys, values }) => [Number(keys) + Number(values), ...k.shape],
  run: (dkv, { keys, values, ...weighting }, context) => {
    const [q, k, v, y, g, ...rest] = dkv.inputs;
    const part = keys ? values ? "grad_keys_values" : "grad_keys" : "grad_values";
    return launch(part, weighting, k, { q, k, v, y, g, dkv }, rest, context);
  },
});

/** B·H·T·S: how many weights there are. */
function weightsOf(
  [batch, queries, heads]: readonly number[],
  [, keys]: readonly number[],
): number {
  return batch * heads * queries * keys;
}

/** @param own The side whose rows invocations own. */
function launch(
  part: AttentionPart,
  { scale, bias, mask, causal }: AttentionWeighting,
  own: Node,
  bind: Readonly<Record<string, Node>>,
  rest: readonly Node[],
  { choose, shape }: RunContext,
): Dispatch[] {
  const [batch, queries, heads, headSize] = shape(bind.q);
  const [, keys, keyHeads] = shape(bind.k);
  const params: Params = {
    rows: batch * queries * heads,
    key_rows: batch * keys * keyHeads,
    heads,
    key_heads: keyHeads,
    queries,
    keys,
    eights: headSize / 8,
    scale,
  };
  const signature: AttentionSignature = { headSize, bias, mask, causal };
  return [{
    kernel: choose({ ...attentionVariants(part, signature, shape(own)[1]), params }),
    bind: {
      ...bind,
      ...(bias ? { bias: rest[0] } : {}),
      ...(mask ? { mask: rest.at(-1)! } : {}),
    },
    params,
  }];
}

/** Gradients towards queries, keys, values and what follows, by way of all weights. */
function unfusedGradients(
  { inputs: [_, q, k, v, ...rest] }: Node,
  g: Node,
  needs: readonly boolean[],
  { scale, causal, mask, bias }: AttentionWeighting,
): (Node | null)[] {
  const { output } = unfusedAttention(q, k, v, {
    ...{ scale, causal },
    bias: bias ? rest[0] : undefined,
    mask: mask ? rest.at(-1) : undefined,
  });
  const inputs = [q, k, v, ...rest];
  const wrt = inputs.filter((_, i) => needs[i]);
  const found = differentiate(output, g, wrt, add);
  return inputs.map((input, i) => needs[i] ? found.get(input)!.reduce(add) : null);
}

/** Keys or values of few heads for every head of the queries: [B, S, K, D] to [B, S, K·groups, D]. */
export function repeatHeads(x: Node, groups: number): Node {
  if (groups === 1) return x;
  const [batch, length, heads, size] = x.shape as [
    Node["shape"][0],
    Node["shape"][0],
    number,
    number,
  ];
  const repeated = broadcastTo(
    reshape(x, [batch, length, heads, 1, size]),
    [batch, length, heads, groups, size],
  );
  return reshape(repeated, [batch, length, heads * groups, size]);
}

function lowerRepeatedHeads(
  graph: OnnxBuilder,
  x: OnnxValue,
  [heads, size]: readonly number[],
  groups: number,
): OnnxValue {
  if (groups === 1) return x;
  const apart = graph.node("Unsqueeze", [x, graph.ints([3])]);
  const repeated = graph.node("Expand", [apart, graph.ints([1, 1, 1, groups, 1])]);
  return graph.node("Reshape", [repeated, graph.ints([0, 0, heads, size])]);
}

/**
 * Attention weights, and what they mix, with all weights in memory.
 *
 * @param drop What becomes of the weights before they mix the values.
 * @returns Output [B, T, H, D] and weights [B, H, T, S].
 */
export function unfusedAttention(
  q: Node,
  k: Node,
  v: Node,
  options: AttentionSoftmaxOptions,
  drop: (weights: Node) => Node = (weights) => weights,
): { output: Node; weights: Node } {
  const groups = (q.shape[2] as number) / (k.shape[2] as number);
  const scores = einsum("bthd,bshd->bhts", q, repeatHeads(k, groups));
  const weights = attentionSoftmax(scores, options);
  return {
    output: einsum("bhts,bshd->bthd", drop(weights), repeatHeads(v, groups)),
    weights,
  };
}

/**
 * Attention of split heads (Vaswani et al., 2017): values mixed by the softmax over S of
 * scale·queries·keys + bias, over the keys that may be seen.
 *
 * In one launch, without the weights in memory, where rows of a head are short enough to be held
 * by an invocation and load in fours; which way follows from the size of a head alone.
 *
 * @param q [B, T, H, D].
 * @param k [B, S, K, D], K a divisor of H: H/K neighbouring heads share keys and values.
 * @param v [B, S, K, D].
 * @returns [B, T, H, D]; a query that sees no key gets 0.
 * @throws TypeError where shapes do not fit; RangeError where scale is 0 or not finite.
 */
export function attention(
  q: Node,
  k: Node,
  v: Node,
  options: AttentionSoftmaxOptions = {},
): Node {
  const { scale = 1, bias, mask, causal = false } = options;
  checkScale(scale);
  const size = q.shape[3];
  if (typeof size !== "number" || size % 8 !== 0 || size > LARGEST_HEAD) {
    return unfusedAttention(q, k, v, options).output;
  }
  const inputs = [q, k, v, bias, mask].filter((node) => node !== undefined);
  const weighting = { scale, causal, bias: bias !== undefined, mask: mask !== undefined };
  return attentionOp([attentionForwardOp(inputs, weighting), ...inputs], weighting);
}
