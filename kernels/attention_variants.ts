/**
 * The variants of fused attention's kernels.
 *
 * @module
 */

import { attentionKernel } from "./attention.ts";
import type { AttentionBlock, AttentionSignature } from "./attention_rows.ts";
import { attentionGradKeys, attentionGradQueries } from "./attention_grad.ts";
import type { Kernel } from "./kernel.ts";

/** What an attention's launch computes. */
export type AttentionPart =
  | "forward"
  | "grad_queries"
  | "grad_keys"
  | "grad_values"
  | "grad_keys_values";

/** Variants of one launch, with a name for what they all are. */
export interface AttentionVariants {
  readonly family: string;
  readonly variants: readonly Kernel[];
}

const cache = new Map<string, AttentionVariants>();

/**
 * Kernels for some rows: through subgroups of eight, and through workgroup memory.
 *
 * Two rows for each of eight lanes suit software adapters: with four, half the time goes, but
 * compiling takes three times as long.
 *
 * @param length Rows that invocations own, of one head: queries, or keys.
 */
export function attentionVariants(
  part: AttentionPart,
  signature: AttentionSignature,
  length: number,
): AttentionVariants {
  const own = length > 8 && signature.headSize <= 64 ? 2 : 1;
  const lanes = length <= 32 ? 32 : 64;
  const family = `attention ${part} ${JSON.stringify(signature)} ${own} ${lanes}`;
  const found = cache.get(family) ?? {
    family,
    variants: [{ lanes: 8, own, subgroup: true }, { lanes, own: 1, subgroup: false }]
      .map((block) => make(part, signature, block)),
  };
  cache.set(family, found);
  return found;
}

function make(part: AttentionPart, signature: AttentionSignature, block: AttentionBlock): Kernel {
  if (part === "forward") return attentionKernel(signature, block);
  if (part === "grad_queries") return attentionGradQueries(signature, block);
  return attentionGradKeys(signature, block, {
    keys: part !== "grad_values",
    values: part !== "grad_keys",
  });
}
