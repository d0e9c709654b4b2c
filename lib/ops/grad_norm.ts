import {
  clipCoefficientKernel,
  normStripes,
  PARTIALS,
  squarePartials,
} from "../../kernels/grad_norm.ts";
import { constant, variable } from "../graph/leaves.ts";
import { type Dispatch, type Node, op } from "../graph/node.ts";
import { elements } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";
import { neighbourRuns, neighbourTable, sizeOf } from "./update_blocks.ts";

const partialsOp = op<null>({
  name: "grad_norm_partials",
  groupable: true,
  flops: ({ inputs: [_, __, ...gradients] }) =>
    gradients.reduce((sum, gradient) => sum + 2 * sizeOf(gradient), 0),
  inPlace: true,
  adjacent: ({ inputs: [_, __, ...gradients] }) => [gradients],
  shape: ([partials]) => partials.shape,
  run: ({ inputs: [partials, stripes, ...gradients] }, _, context) =>
    neighbourRuns(gradients, normStripes, context).flatMap(
      ({ tensor, bytes, rows }): Dispatch[] => {
        const node = gradients[tensor];
        if (bytes <= context.maxBinding) {
          const bind = { stripes, x: { node, bytes: { start: 0, length: bytes } }, partials };
          return [{ kernel: squarePartials.many, bind, params: rows }];
        }
        const shape = context.shape(node);
        return rowShards(shape, context.maxBinding).map((rows, part) => ({
          kernel: squarePartials.one,
          bind: { x: { node, rows }, partials },
          params: {
            n: rows.count * elements(shape.slice(1)),
            tensor,
            extend: part === 0 ? 0 : 1,
          },
        }));
      },
    ),
});

const clipOp = op<{ maxNorm: number | null }>({
  name: "clip_coefficient",
  groupable: true,
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

/**
 * 64 partial sums of squares of each gradient, in an order of sums that follows from its size alone.
 *
 * @param gradients Variables.
 * @param prefix Before the variable's name; none unless given.
 * @returns Variable `grad_norm.partials` [64·n].
 */
export function gradNormPartials(gradients: readonly Node[], prefix = ""): Node {
  const size = gradients.length * PARTIALS;
  const partials = variable(`${prefix}grad_norm.partials`, [size], "control");
  const count = gradients.reduce((sum, node) => sum + normStripes(sizeOf(node)), 0);
  const stripes = constant(
    [count, 4],
    "u32",
    () =>
      neighbourTable(gradients, (size, start, tensor) => {
        const stripes = normStripes(size);
        return Array.from(
          { length: stripes },
          (_, i) => [start, size, i + stripes * 2 ** 16, tensor],
        );
      }),
  );
  return partialsOp([partials, stripes, ...gradients], null);
}

/** Variable `clip` [4]; see {@linkcode clipCoefficient}. */
export function clipVariable(prefix = ""): Node {
  return variable(`${prefix}clip`, [4], "control");
}

/**
 * What all gradients are multiplied by, so that their global norm is at most `maxNorm`.
 *
 * @param partials All partial sums.
 * @param maxNorm Largest norm; null for no limit.
 * @param lossScale Variable `loss_scale` where it is in the gradients: the norm is that without it,
 *   and the coefficient takes it out.
 * @param prefix Before the variable's name; none unless given.
 * @returns Variable `clip` [4]: the coefficient min(1, maxNorm / (norm + 1e-6)), the norm, 1, and the
 *   steps skipped so far; where the sum of squares is not finite, the coefficient and the third are
 *   0, and `adamw` leaves parameters alone.
 */
export function clipCoefficient(
  partials: Node,
  maxNorm: number | null,
  lossScale?: Node,
  prefix = "",
): Node {
  const inputs = [clipVariable(prefix), partials, lossScale];
  return clipOp(inputs.filter((node) => node !== undefined), { maxNorm });
}
