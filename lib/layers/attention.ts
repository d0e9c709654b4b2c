import type { Node } from "../graph/node.ts";
import type { Dim } from "../graph/shape.ts";
import { attentionSoftmax } from "../ops/attention_softmax.ts";
import { einsum } from "../ops/einsum.ts";
import { broadcastTo } from "../ops/elementwise.ts";
import { reshape } from "../ops/reshape.ts";
import { dropped } from "./block_output.ts";
import type { Scope } from "./scope.ts";
import type { Context, KeyValues, KeyValueSite } from "./site.ts";

/** Declares the site of an attention's keys and values. */
export function keyValueSite(
  scope: Scope,
  site: Omit<KeyValueSite, "kind" | "transforms">,
): KeyValueSite {
  const declared: KeyValueSite = { kind: "kv", ...site, transforms: [] };
  scope.sites.push(declared);
  return declared;
}

/** What shapes attention weights besides queries and keys. */
export interface AttentionOptions {
  /** Factor of the scores; 1 unless given. */
  readonly scale?: number;
  /** [H, T, S], added to the scores, for T queries whose last one stands at the last of S keys. */
  readonly bias?: (queries: Dim, keys: Dim) => Node;
  /** Whether a query sees earlier keys alone. */
  readonly causal?: boolean;
  /** How often each key and value head serves: H/K; 1 unless given. */
  readonly groups?: number;
  readonly site: KeyValueSite;
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
 * Attention of split heads (Vaswani et al., 2017), through the site of its keys and values.
 *
 * @param q [B, T, H, D].
 * @param own Keys and values [B, S, K, D] with their mask [B, S], before the site's transforms.
 * @returns Output [B, T, H·D] and weights [B, H, T, S].
 */
export function attend(
  q: Node,
  own: KeyValues,
  { scale, bias, causal, groups = 1, site }: AttentionOptions,
  context: Context,
): { output: Node; weights: Node } {
  const { keys, values, mask } = site.transforms.reduce((kv, f) => f(kv, context), own);
  const scores = einsum("bthd,bshd->bhts", q, repeatHeads(keys, groups));
  const [batch, length, heads, size] = q.shape;
  const weights = attentionSoftmax(scores, {
    scale,
    causal,
    mask,
    bias: bias?.(length, keys.shape[1]),
  });
  const seen = dropped(weights, context, `${site.path}.weights`);
  const mixed = einsum("bhts,bshd->bthd", seen, repeatHeads(values, groups));
  return {
    output: reshape(mixed, [batch, length, (heads as number) * (size as number)]),
    weights,
  };
}
