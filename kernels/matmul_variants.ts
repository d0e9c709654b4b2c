/**
 * The list of matmul variants.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import { matmulNaive, type MatmulSignature } from "./matmul.ts";
import { DIRECT_BLOCKS, matmulDirect } from "./matmul_direct.ts";
import { matmulTiled, TILES } from "./matmul_tiled.ts";

const cache = new Map<string, Kernel[]>();

/** All variants for a signature, the plain one last; every one takes every shape. */
export function matmulVariants(signature: MatmulSignature): Kernel[] {
  const key = JSON.stringify(signature);
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const variants = [
    ...DIRECT_BLOCKS.map((block) => matmulDirect(signature, block)),
    ...TILES.map((tile) => matmulTiled(signature, tile)),
    matmulNaive(signature),
  ];
  cache.set(key, variants);
  return variants;
}
