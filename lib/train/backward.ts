import { differentiate } from "../graph/differentiate.ts";
import type { Node } from "../graph/node.ts";
import { accumulateGradient } from "../ops/accumulate_gradient.ts";
import { slice } from "../ops/concat.ts";
import { add } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import { record } from "../ops/record.ts";
import { recordWithGradient } from "../ops/recorded_cross_entropy.ts";
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
  return packedBackwardRoots([{ loss, update }], boundaries);
}

/** The same for several cells, each with a loss and an update of its own. */
export function packedBackwardRoots(
  cells: readonly { readonly loss: Node; readonly update: Update }[],
  boundaries?: ReadonlySet<Node>,
): Node[] {
  const recorded = cells.map(({ loss, update }) => record(update.losses, update.step, loss));
  const seeds = cells.map(({ update: { lossScale } }) =>
    lossScale === null ? fill([1], 1) : slice(lossScale, 0, 0, 1)
  );
  // Added up as soon as they are known: the operands of a weight's gradient die there and then.
  const variables = new Map(cells.flatMap(({ update }) => [...update.gradients]));
  const losses = cells.map(({ loss }) => loss);
  const gradients = differentiate(losses, seeds, [...variables.keys()], add, {
    boundaries,
    into: (parameter, part) => accumulateGradient(variables.get(parameter)!, part),
  });
  return recordWithGradient(recorded, [...gradients.values()].flat());
}
