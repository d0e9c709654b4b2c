import { adamwKernel } from "../../kernels/adamw.ts";
import { UPDATE_BLOCK } from "../../kernels/update_block.ts";
import { type ByteRange, type Node, op } from "../graph/node.ts";
import { formatShape, sameShape } from "../graph/shape.ts";
import {
  countBlocks,
  neighbourRuns,
  sizeOf,
  updateBlocks,
  type UpdateTensor,
} from "./update_blocks.ts";

/** Numbers of an AdamW step. */
export interface AdamWFactors {
  readonly beta1: number;
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
}

/** One tensor of an AdamW step: variables of one shape. */
export interface AdamWTensor extends UpdateTensor {
  readonly gradient: Node;
  readonly first: Node;
  readonly second: Node;
}

/** What an AdamW step works on. */
export interface AdamWTensors {
  readonly tensors: readonly AdamWTensor[];
  /** [steps, 4]: learning rate, 1/(1−β1^t), 1/(1−β2^t), spare; see `lib/train/schedule.ts`. */
  readonly schedule: Node;
  /** u32 [1]: steps so far. */
  readonly step: Node;
  /** [4]: coefficient, norm, finite flag, steps skipped; see {@link clipCoefficient}. */
  readonly clip: Node;
}

interface AdamWAttributes extends AdamWFactors {
  /** How many tensors there are. */
  readonly count: number;
}

/** Parameters, gradients, first and second moments, each in a buffer of its own kind. */
function roles({ inputs, attributes }: Node): Node[][] {
  const { count } = attributes as AdamWAttributes;
  return [0, 1, 2, 3].map((role) => inputs.slice(role * count, (role + 1) * count));
}

const adamwOp = op<AdamWAttributes>({
  name: "adamw",
  groupable: true,
  // Two moments, their corrections, root, quotient, decay.
  flops: ({ inputs }, { count }) =>
    inputs.slice(0, count).reduce((sum, parameter) => sum + 16 * sizeOf(parameter), 0),
  inPlace: true,
  adjacent: roles,
  shape: (inputs, { count }) => {
    inputs.slice(0, 4 * count).forEach(({ shape }, i) => {
      const parameter = inputs[i % count];
      if (!sameShape(shape, parameter.shape)) {
        throw new TypeError(
          `Cannot update ${formatShape(parameter.shape)} by ${
            formatShape(shape)
          }: gradient and moments must have its shape`,
        );
      }
    });
    return inputs[0].shape;
  },
  run: (node, { count, beta1, beta2, epsilon }, context) => {
    const [w, g, m, v] = roles(node);
    const [blocks, schedule, step_count, clip] = node.inputs.slice(4 * count);
    const numbers = {
      steps: context.shape(schedule)[0],
      ...{ beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, epsilon },
    };
    return neighbourRuns(w, countBlocks, context).flatMap(({ tensor, bytes, rows }) =>
      parts(bytes, context.maxBinding).map(({ start, length }) => {
        const part = (role: readonly Node[]) => ({ node: role[tensor], bytes: { start, length } });
        const before = start / BLOCK_BYTES;
        return {
          kernel: adamwKernel,
          bind: {
            ...{ blocks, schedule, step_count, clip },
            ...{ w: part(w), g: part(g), m: part(m), v: part(v) },
          },
          params: {
            ...numbers,
            count: length === bytes ? rows.count : Math.ceil(length / BLOCK_BYTES),
            first: rows.first + before,
            origin: rows.origin + start / 16,
          },
        };
      })
    );
  },
});

const BLOCK_BYTES = UPDATE_BLOCK * 4;

/** Parts that can be bound: all at once, or whole blocks of the one tensor that is too large. */
function parts(bytes: number, maxBinding: number): ByteRange[] {
  if (bytes <= maxBinding) return [{ start: 0, length: bytes }];
  const most = Math.max(1, Math.floor(maxBinding / BLOCK_BYTES)) * BLOCK_BYTES;
  return Array.from({ length: Math.ceil(bytes / most) }, (_, i) => ({
    start: i * most,
    length: Math.min(most, bytes - i * most),
  }));
}

/**
 * One AdamW step of all tensors in place, as torch.optim.AdamW takes it; the gradients are zero
 * afterwards, so that the next micro-batch adds to nothing. Where the gradients were not finite, only
 * that is done.
 *
 * @returns The first parameter's new value, a root of the update program.
 * @throws TypeError where a tensor's variables differ in shape.
 */
export function adamw(
  { tensors, schedule, step, clip, beta1, beta2, epsilon }: AdamWTensors & AdamWFactors,
): Node {
  const roles = (["parameter", "gradient", "first", "second"] as const)
    .flatMap((role) => tensors.map((tensor) => tensor[role]));
  const count = tensors.length;
  return adamwOp([...roles, updateBlocks(tensors), schedule, step, clip], {
    count,
    beta1,
    beta2,
    epsilon,
  });
}
