import { recordKernel } from "../../kernels/record.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape } from "../graph/shape.ts";
import { factorsOf } from "./elementwise.ts";
import { summed } from "./sum.ts";

const recordOp = op<null>({
  name: "record",
  groupable: true,
  inPlace: true,
  shape: ([losses]) => losses.shape,
  run: ({ inputs: [losses, step_count, terms, factor] }, _, { shape }) => [{
    kernel: recordKernel(factor !== undefined),
    bind: { terms, ...(factor === undefined ? {} : { factor }), step_count, losses },
    params: { count: elements(shape(terms)), capacity: shape(losses)[0] },
  }],
});

/**
 * Adds a micro-batch's loss to the step's slot, losses[step mod capacity], and clears the next one.
 *
 * So the last capacity − 1 steps can be read, each the sum over its micro-batches; the host reads
 * before that many more have run. A loss that is a sum, or one number times a sum, is added up in the
 * same launch.
 *
 * @param losses Variable [capacity], capacity ≥ 2, zero at the start.
 * @param step u32 [1]: the step that runs, before `advance`.
 * @param loss One number, [] or [1].
 * @returns The new losses, a root of the program.
 * @throws TypeError where the loss is more than one number, or there are fewer slots than two.
 */
export function record(losses: Node, step: Node, loss: Node): Node {
  const [capacity] = losses.shape as readonly number[];
  if (losses.shape.length !== 1 || capacity < 2 || !isNumber(loss)) {
    throw new TypeError(
      `Cannot record a loss of ${formatShape(loss.shape)} in ${
        formatShape(losses.shape)
      }: it must be one number, and there must be at least 2 slots`,
    );
  }
  const factors = factorsOf(loss);
  const [total, ...factor] = factors?.every(isNumber) ? factors : [loss];
  return recordOp([losses, step, summed(total) ?? total, ...factor], null);
}

function isNumber({ shape }: Node): boolean {
  return shape.every((dim) => dim === 1);
}
