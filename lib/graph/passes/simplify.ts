import { type Node, topological } from "../node.ts";
import { rewrite, type Rewritten, updatedPlaces } from "./rewrite.ts";

/**
 * Folds what constants make trivial, as each operation knows it for itself: a factor of one, a
 * product with a tensor of ones.
 */
export function simplify(program: Rewritten, keep: readonly Node[]): Rewritten {
  const updated = updatedPlaces(topological(program.roots));
  const fixed = new Set([...keep, ...program.roots]);
  return rewrite(program, (node, over) => {
    const simpler = fixed.has(node) ? over : over.op.simplify?.(over) ?? over;
    return updated(simpler) ? over : simpler;
  });
}
