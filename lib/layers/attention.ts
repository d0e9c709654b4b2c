import type { Node } from "../graph/node.ts";
import { attentionSoftmax } from "../ops/attention_softmax.ts";
import { einsum } from "../ops/einsum.ts";
import { broadcastTo } from "../ops/elementwise.ts";
import { reshape } from "../ops/reshape.ts";
import { dropped } from "./block_output.ts";
import type { Context } from "./site.ts";

/** What shapes attention weights besides queries and keys. */
export interface AttentionOptions {
  /** Factor of the scores; 1 unless given. */
  readonly scale?: number;
  /** Added to the scores, [H, T, S]. */
  readonly bias?: Node;
  /** Keys that may be seen, [B, S]. */
  readonly mask?: Node;
  /** Whether a query sees earlier keys alone. */
  readonly causal?: boolean;
  /** Name for dropout on the weights. */
  readonly site: string;
}

/** x: [B, T, heads · size] as [B, T, heads, size]. */
export function splitHeads(x: Node, heads: number, size: number): Node {
  return reshape(x, [x.shape[0], x.shape[1], heads, size]);
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

/**
 * Attention of split heads (Vaswani et al., 2017).
 *
 * @param q [B, T, H, D]; k, v: [B, S, H, D].
 * @returns Output [B, T, H·D] and weights [B, H, T, S].
 */
export function attend(
  q: Node,
  k: Node,
  v: Node,
  { site, ...options }: AttentionOptions,
  context: Context,
): { output: Node; weights: Node } {
  const scores = einsum("bthd,bshd->bhts", q, k);
  const weights = attentionSoftmax(scores, options);
  const mixed = einsum("bhts,bshd->bthd", dropped(weights, context, site), v);
  const [batch, length, heads, size] = mixed.shape;
  return {
    output: reshape(mixed, [batch, length, (heads as number) * (size as number)]),
    weights,
  };
}
