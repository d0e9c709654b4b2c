import type { Node } from "../graph/node.ts";
import { accumulate } from "./accumulate.ts";
import { einsumInto, isPlainEinsum } from "./einsum.ts";
import { embeddingGradInto, isEmbeddingGrad } from "./embedding.ts";
import { isSum, sumInto } from "./sum.ts";

/**
 * Adds a gradient into a variable by the cheapest way: matrix products, sums and embedding gradients
 * add straight into it, and the gradient's own node is then not computed.
 *
 * @param variable Gradient variable, of the gradient's shape.
 * @param gradient One of the nodes that `differentiate` returns.
 * @returns The variable's new value, a root of the program.
 */
export function accumulateGradient(variable: Node, gradient: Node): Node {
  if (isPlainEinsum(gradient)) return einsumInto(variable, gradient);
  if (isEmbeddingGrad(gradient)) return embeddingGradInto(variable, gradient);
  if (isSum(gradient)) return sumInto(variable, gradient);
  return accumulate(variable, gradient);
}
