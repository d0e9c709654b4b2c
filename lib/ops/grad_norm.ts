import { clipCoefficientKernel, PARTIALS, squarePartials } from "../../kernels/grad_norm.ts";
import { variable } from "../graph/leaves.ts";
import { type Node, op } from "../graph/node.ts";
import { elements } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";

const partialsOp = op<{ index: number }>({
  name: "grad_norm_partials",
  flops: ({ inputs: [_, gradient] }, __, shape) => 2 * elements(shape(gradient)),
  inPlace: true,
  shape: ([partials], { index }) => {
    const [size] = partials.shape as readonly number[];
    if (!(index >= 0 && (index + 1) * PARTIALS <= size)) {
      throw new RangeError(
        `Cannot put partial sums of gradient ${index} into ${size}: each has ${PARTIALS}`,
      );
    }
    return partials.shape;
  },
  run: ({ inputs: [partials, gradient] }, { index }, context) => {
    const shape = context.shape(gradient);
    return rowShards(shape, context.maxBinding).map((rows, part) => {
      const n = rows.count * elements(shape.slice(1));
      return {
        kernel: squarePartials(n),
        bind: { x: { node: gradient, rows }, partials },
        params: { n, offset: index * PARTIALS, extend: part === 0 ? 0 : 1 },
      };
    });
  },
});

const clipOp = op<{ maxNorm: number | null }>({
  name: "clip_coefficient",
  flops: ({ inputs: [_, partials] }, __, shape) => elements(shape(partials)),
  inPlace: true,
  shape: ([clip]) => clip.shape,
  run: ({ inputs: [clip, partials, loss_scale] }, { maxNorm }, { shape }) => [{
    kernel: clipCoefficientKernel(loss_scale !== undefined),
    bind: { partials, clip, ...(loss_scale === undefined ? {} : { loss_scale }) },
    params: {
      count: elements(shape(partials)),
      limited: maxNorm === null ? 0 : 1,
      max_norm: maxNorm ?? 0,
    },
  }],
});

/** The variable that holds the partial sums of so many gradients. */
export function partialsVariable(gradients: number): Node {
  return variable("grad_norm.partials", [gradients * PARTIALS], "control");
}

/**
 * Writes the 64 partial sums of squares of one gradient at its place, in a fixed order of sums.
 *
 * @param partials Variable [64·n], or what this returned for the gradient before.
 * @param index Which of the n gradients this is.
 * @returns The new partials.
 */
export function gradNormPartials(partials: Node, gradient: Node, index: number): Node {
  return partialsOp([partials, gradient], { index });
}

/**
 * What all gradients are multiplied by, so that their global norm is at most `maxNorm`.
 *
 * @param partials All partial sums.
 * @param maxNorm Largest norm; null for no limit.
 * @param lossScale Variable `loss_scale` where it is in the gradients: the norm is that without it,
 *   and the coefficient takes it out.
 * @returns Variable `clip` [4]: the coefficient min(1, maxNorm / (norm + 1e-6)), the norm, 1, and the
 *   steps skipped so far; where the sum of squares is not finite, the coefficient and the third are
 *   0, and `adamw` leaves parameters alone.
 */
export function clipCoefficient(partials: Node, maxNorm: number | null, lossScale?: Node): Node {
  const inputs = [variable("clip", [4], "control"), partials, lossScale];
  return clipOp(inputs.filter((node) => node !== undefined), { maxNorm });
}
