import { differentiate } from "../graph/differentiate.ts";
import type { Node } from "../graph/node.ts";
import { accumulateGradient } from "../ops/accumulate_gradient.ts";
import { add } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import { record } from "../ops/record.ts";
import type { Update } from "./optimizer.ts";

/**
 * Roots of the forward-and-backward program of one micro-batch: it records the loss, and adds the
 * gradients into the update's gradient variables.
 *
 * The gradient of the loss itself is 1 here; half precision's loss scale takes its place, and the
 * update's finite flag (see `clipCoefficient`) then says which steps were skipped.
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
  const gradients = differentiate(loss, fill([1], 1), [...update.gradients.keys()], add, {
    boundaries,
    into: (parameter, part) => accumulateGradient(update.gradients.get(parameter)!, part),
  });
  return [recorded, ...[...gradients.values()].flat()];
}
