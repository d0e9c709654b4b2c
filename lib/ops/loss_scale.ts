import { lossScaleKernel } from "../../kernels/loss_scale.ts";
import { variable } from "../graph/leaves.ts";
import { type Node, op } from "../graph/node.ts";

/** How a loss scale follows the gradients. */
export interface LossScaling {
  /** Factor on the loss at the start. */
  readonly initial: number;
  /** Factor on the scale after `interval` steps in a row with finite gradients. */
  readonly growth: number;
  /** Factor on the scale after a step whose gradients were not finite. */
  readonly backoff: number;
  readonly interval: number;
}

/** As torch.amp.GradScaler has it. */
export const defaultLossScaling: LossScaling = {
  initial: 65536,
  growth: 2,
  backoff: 0.5,
  interval: 2000,
};

const updateLossScaleOp = op<LossScaling>({
  name: "update_loss_scale",
  flops: 1,
  inPlace: true,
  shape: ([scale]) => scale.shape,
  run: ({ inputs: [loss_scale, clip] }, { growth, backoff, interval }) => [{
    kernel: lossScaleKernel,
    bind: { clip, loss_scale },
    params: { growth, backoff, interval },
  }],
});

/**
 * Variable `loss_scale` [3]: the scale, steps since it last changed, and steps skipped so far.
 *
 * @param prefix Before its name; none unless given.
 */
export function lossScaleVariable(prefix = ""): Node {
  return variable(`${prefix}loss_scale`, [3], "control");
}

/**
 * Adapts the scale to what became of a step, on the device.
 *
 * @param scale See {@linkcode lossScaleVariable}.
 * @param clip The step's clip; see `clipCoefficient`.
 * @returns The new scale, a root of the update program, after all that reads the old one.
 */
export function updateLossScale(scale: Node, clip: Node, scaling: LossScaling): Node {
  return updateLossScaleOp([scale, clip], scaling);
}
