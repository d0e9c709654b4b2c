import { advanceKernel } from "../../kernels/advance.ts";
import { type Node, op } from "../graph/node.ts";

const advanceOp = op<null>({
  name: "advance",
  groupable: true,
  inPlace: true,
  shape: ([step]) => step.shape,
  dtype: ([step]) => step.dtype,
  run: ({ inputs: [step_count] }) => [{ kernel: advanceKernel, bind: { step_count }, params: {} }],
});

/** Counts one step on the device: step += 1, a u32 variable [1]. */
export function advance(step: Node): Node {
  return advanceOp([step], null);
}
