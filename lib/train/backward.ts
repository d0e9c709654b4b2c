import { differentiate } from "../graph/differentiate.ts";
import type { Node } from "../graph/node.ts";
import { accumulateGradient } from "../ops/accumulate_gradient.ts";
import { slice } from "../ops/concat.ts";
import { add } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import { record } from "../ops/record.ts";
import type { Update } from "./optimizer.ts";

/**
 * Roots of the forward-and-backward program of one micro-batch: it records the loss, and adds the
 * gradients into the update's gradient variables.
 *
 * The gradient of the loss itself is the update's loss scale, or 1 where there is none.
 *
 * @param loss Shape [1]; already a mean over the labels of the whole batch.
 * @param boundaries What is kept of the forward pass, where the rest is to be computed again; see
 *   `differentiate`.
 */
export function backwardRoots(
  loss: Node,
  update: Update,
  boundaries?: ReadonlySet<Node>,
): Node[] {
  const recorded = record(update.losses, update.step, loss);
  // Added up as soon as they are known: the operands of a weight's gradient die there and then.
  const seed = update.lossScale === null ? fill([1], 1) : slice(update.lossScale, 0, 0, 1);
  const gradients = differentiate(loss, seed, [...update.gradients.keys()], add, {
    boundaries,
    into: (parameter, part) => accumulateGradient(update.gradients.get(parameter)!, part),
  });
  return [recorded, ...[...gradients.values()].flat()];
}
