import { recordKernel } from "../../kernels/record.ts";
import { type Node, op } from "../graph/node.ts";
import { formatShape } from "../graph/shape.ts";

const recordOp = op<null>({
  name: "record",
  inPlace: true,
  shape: ([losses, _, loss]) => {
    const [capacity] = losses.shape as readonly number[];
    if (losses.shape.length !== 1 || capacity < 2 || loss.shape.some((dim) => dim !== 1)) {
      throw new TypeError(
        `Cannot record a loss of ${formatShape(loss.shape)} in ${
          formatShape(losses.shape)
        }: it must be one number, and there must be at least 2 slots`,
      );
    }
    return losses.shape;
  },
  run: ({ inputs: [losses, step_count, loss] }, _, { shape }) => [{
    kernel: recordKernel,
    bind: { loss, step_count, losses },
    params: { capacity: shape(losses)[0] },
  }],
});

/**
 * Adds a micro-batch's loss to the step's slot, losses[step mod capacity], and clears the next one.
 *
 * So the last capacity − 1 steps can be read, each the sum over its micro-batches; the host reads
 * before that many more have run.
 *
 * @param losses Variable [capacity], capacity ≥ 2, zero at the start.
 * @param step u32 [1]: the step that runs, before `advance`.
 * @param loss One number, [] or [1].
 * @returns The new losses, a root of the program.
 */
export function record(losses: Node, step: Node, loss: Node): Node {
  return recordOp([losses, step, loss], null);
}
