import { type Node, topological } from "../node.ts";
import type { StoragePolicy } from "../precision.ts";
import type { Sizes } from "../shape.ts";
import { expand } from "./expand.ts";
import { fuse } from "./fuse.ts";
import { group } from "./group.ts";
import type { Pass, Rewritten } from "./rewrite.ts";
import { share } from "./share.ts";
import { simplify } from "./simplify.ts";

/**
 * The passes between a graph and its plan, in order. Dead code needs none: a program is what its
 * roots rest on.
 */
export const PASSES: readonly Pass[] = [simplify, share, fuse, group];

/**
 * A program of the same results in fewer launches: that of its operations' launches, which is expanded
 * whatever the passes are.
 *
 * @param keep Nodes that are read after it has run: what they have become holds their value.
 * @param policy Which nodes lie in memory in half precision; what they become does as well.
 */
export function optimize(
  roots: readonly Node[],
  sizes: Sizes,
  keep: readonly Node[],
  policy: StoragePolicy,
  passes: readonly Pass[] = PASSES,
): Rewritten {
  const half = policy(topological(roots), keep);
  return passes.reduce<Rewritten>(
    (program, pass) => pass(program, keep, sizes),
    expand({ roots, replaced: new Map(), half }),
  );
}
