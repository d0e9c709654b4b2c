import type { Node } from "../graph/node.ts";
import type { Dim } from "../graph/shape.ts";
import { attention, unfusedAttention } from "../ops/attention.ts";
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
  readonly site: KeyValueSite;
}

/**
 * Largest size of a head that is attended to in one launch. Beyond it, on a software adapter, computing
 * the weights twice costs more than keeping them.
 */
const LARGEST_FUSED = 32;

/** x: [B, T, heads · size] as [B, T, heads, size]. */
export function splitHeads(x: Node, heads: number, size: number): Node {
  return reshape(x, [x.shape[0], x.shape[1], heads, size]);
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
  { scale, bias, causal, site }: AttentionOptions,
  context: Context,
): { output: Node; weights: Node } {
  const { keys, values, mask } = site.transforms.reduce((kv, f) => f(kv, context), own);
  const [batch, length, heads, size] = q.shape;
  const options = { scale, causal, mask, bias: bias?.(length, keys.shape[1]) };
  let kept = true;
  const unfused = unfusedAttention(q, keys, values, options, (weights) => {
    const seen = dropped(weights, context, `${site.path}.weights`);
    kept = seen === weights;
    return seen;
  });
  // Dropout needs the weights themselves. From the graph alone, so that every device adds alike.
  const fused = kept && (size as number) <= LARGEST_FUSED;
  const mixed = fused ? attention(q, keys, values, options) : unfused.output;
  return {
    output: reshape(mixed, [batch, length, (heads as number) * (size as number)]),
    weights: unfused.weights,
  };
}
