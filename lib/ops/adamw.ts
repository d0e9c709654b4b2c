import { adamwKernel } from "../../kernels/adamw.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";

/** Numbers of an AdamW step. */
export interface AdamWFactors {
  readonly beta1: number;
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Decoupled decay, multiplied by the learning rate. */
  readonly weightDecay: number;
  /** Factor on the scheduled learning rate; 1 unless given. */
  readonly rate?: number;
}

/** Tensors of an AdamW step. */
export interface AdamWTensors {
  /** Variables of one shape: what is trained, its gradient, and the two moments. */
  readonly parameter: Node;
  readonly gradient: Node;
  readonly first: Node;
  readonly second: Node;
  /** [steps, 4]: learning rate, 1/(1−β1^t), 1/(1−β2^t), spare; see `lib/train/schedule.ts`. */
  readonly schedule: Node;
  /** u32 [1]: steps so far. */
  readonly step: Node;
  /** [4]: coefficient, norm, finite flag, steps skipped; see {@link clipCoefficient}. */
  readonly clip: Node;
}

const adamwOp = op<AdamWFactors>({
  name: "adamw",
  flops: 16, // two moments, their corrections, root, quotient, decay
  inPlace: true,
  shape: ([parameter, ...rest]) => {
    for (const other of rest.slice(0, 3)) {
      if (!sameShape(other.shape, parameter.shape)) {
        throw new TypeError(
          `Cannot update ${formatShape(parameter.shape)} by ${
            formatShape(other.shape)
          }: gradient and moments must have its shape`,
        );
      }
    }
    return parameter.shape;
  },
  run: (node, { beta1, beta2, epsilon, weightDecay, rate = 1 }, context) => {
    const [w, g, m, v, schedule, step_count, clip] = node.inputs;
    const shape = context.shape(w);
    return rowShards(shape, context.maxBinding).map((rows) => {
      const part = (node: Node) => ({ node, rows });
      const n = rows.count * elements(shape.slice(1));
      return {
        kernel: adamwKernel(n),
        bind: { schedule, step_count, clip, w: part(w), g: part(g), m: part(m), v: part(v) },
        params: {
          n,
          steps: context.shape(schedule)[0],
          beta1,
          rest1: 1 - beta1,
          beta2,
          rest2: 1 - beta2,
          epsilon,
          decay: weightDecay,
          rate,
        },
      };
    });
  },
});

/**
 * One AdamW step in place, as torch.optim.AdamW takes it; the gradient is zero afterwards, so that
 * the next micro-batch adds to nothing. Where the gradients were not finite, only that is done.
 *
 * @returns The parameter's new value, a root of the update program.
 * @throws TypeError where the variables' shapes differ.
 */
export function adamw(
  { parameter, gradient, first, second, schedule, step, clip, ...factors }:
    & AdamWTensors
    & AdamWFactors,
): Node {
  return adamwOp([parameter, gradient, first, second, schedule, step, clip], factors);
}
