import type { Node } from "../graph/node.ts";
import { defineElementwise, divide } from "./elementwise.ts";
import { einsum } from "./einsum.ts";
import { sum } from "./sum.ts";

const atLeastOne = defineElementwise(
  "at_least_one",
  "max(a, 1.0)",
  undefined,
  undefined,
  (graph, [x]) => graph.node("Max", [x, graph.floats(1)]),
);

/**
 * Mean of the tokens that count: y[b, c] = Σt mask[b, t]·x[b, t, c] / Σt mask[b, t].
 *
 * @param x [B, T, C].
 * @param mask f32 [B, T] of ones and zeros, not differentiated; a row of zeros (an example that
 *   only fills the batch) has the mean 0.
 * @returns [B, C].
 */
export function maskedMean(x: Node, mask: Node): Node {
  const count = atLeastOne([sum(mask, 1, 2)], { constants: [] }); // [B,1]
  return divide(einsum("bt,btc->bc", mask, x), count); // [B,C]
}
