import {
  ADAFACTOR_STATS,
  adafactorApply,
  adafactorColumns,
  adafactorMean,
  adafactorNorms,
  adafactorRows,
  adafactorScale,
  adafactorSquares,
} from "../../kernels/adafactor.ts";
import { variable, variableAttributes } from "../graph/leaves.ts";
import { type Node, op, type Operand } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";

/** Numbers of an Adafactor step. */
export interface AdafactorFactors {
  /** Decoupled decay, multiplied by the learning rate. */
  readonly weightDecay: number;
  /** Whether the rate is multiplied by the parameter's root mean square, at least 1e-3. */
  readonly scaleParameter: boolean;
  /** Factor on the scheduled learning rate; 1 unless given. */
  readonly rate?: number;
}

/** Tensors of an Adafactor step. */
export interface AdafactorTensors {
  /** Variables of one shape: what is trained, and its gradient. */
  readonly parameter: Node;
  readonly gradient: Node;
  /** [steps, 4]: learning rate and, last, t^−0.8; see `lib/train/schedule.ts`. */
  readonly schedule: Node;
  /** u32 [1]: steps so far. */
  readonly step: Node;
  /** [4]: coefficient, norm, finite flag, steps skipped; see {@link clipCoefficient}. */
  readonly clip: Node;
}

const adafactorOp = op<AdafactorFactors>({
  name: "adafactor",
  flops: 16, // squares twice, two roots, two sums of squares, decay
  inPlace: true,
  shape: ([parameter, gradient]) => {
    if (!sameShape(gradient.shape, parameter.shape)) {
      throw new TypeError(
        `Cannot update ${formatShape(parameter.shape)} by ${
          formatShape(gradient.shape)
        }: the gradient must have its shape`,
      );
    }
    return parameter.shape;
  },
  run: (node, { weightDecay, scaleParameter, rate = 1 }, context) => {
    const [w, g, schedule, step_count, clip, stats, ...moments] = node.inputs;
    const shape = context.shape(w);
    const steps = context.shape(schedule)[0];
    const control = { schedule, step_count, clip };
    const factored = moments.length === 2;
    const kind = factored ? "matrix" : "vector";
    const cols = factored ? shape[shape.length - 1] : 1;
    const perRow = elements(shape.slice(1)) / cols;
    const scaled = scaleParameter ? 1 : 0;
    const shards = rowShards(shape, context.maxBinding).map((rows, part) => ({
      part: (node: Node): Operand => ({ node, rows }),
      extend: part === 0 ? 0 : 1,
      rows: rows.count * perRow,
      n: rows.count * perRow * cols,
      first: rows.start * perRow,
    }));
    const [r, c] = moments;
    const squares = factored
      ? [
        ...shards.map(({ part, rows, first }) => ({
          kernel: adafactorRows,
          bind: { ...control, g: part(g), r },
          params: { rows, cols, first, steps },
        })),
        ...shards.map(({ part, rows, extend }) => ({
          kernel: adafactorColumns,
          bind: { ...control, g: part(g), c },
          params: { rows, cols, count: shape[0] * perRow, extend, steps },
        })),
        { kernel: adafactorMean, bind: { r, stats }, params: { count: shape[0] * perRow } },
      ]
      : shards.map(({ part, n }) => ({
        kernel: adafactorSquares,
        bind: { ...control, g: part(g), v: part(r) },
        params: { n, steps },
      }));
    const momentsOf = (part: (node: Node) => Operand): Record<string, Node | Operand> =>
      factored ? { r, c } : { v: part(r) };
    return [
      ...squares,
      ...shards.map(({ part, n, first, extend }) => ({
        kernel: adafactorNorms[kind],
        bind: { clip, w: part(w), g: part(g), ...momentsOf(part), stats },
        params: { n, cols, first, extend, scaled },
      })),
      {
        kernel: adafactorScale,
        bind: { ...control, stats },
        params: { n: elements(shape), steps, rate, decay: weightDecay, scaled },
      },
      ...shards.map(({ part, n, first }) => ({
        kernel: adafactorApply[kind],
        bind: { clip, stats, ...momentsOf(part), w: part(w), g: part(g) },
        params: { n, cols, first },
      })),
    ];
  },
});

/**
 * One Adafactor step in place (Shazeer and Stern, 2018): factored second moments, no first moment,
 * updates clipped to a root mean square of 1; the gradient is zero afterwards. Where the gradients
 * were not finite, only that is done.
 *
 * A tensor [..., n] of two axes or more is a matrix with n columns, whose second moment takes one
 * number for each row and column; a vector's takes its own size. The state's variables are named
 * after the parameter: `.row_moment` and `.column_moment`, or `.second_moment`; and `.stats`.
 *
 * @returns The parameter's new value, a root of the update program.
 * @throws TypeError where gradient and parameter differ in shape.
 */
export function adafactor(
  { parameter, gradient, schedule, step, clip, ...factors }: AdafactorTensors & AdafactorFactors,
): Node {
  const { name, shape } = variableAttributes(parameter);
  const state = (suffix: string, dims: readonly number[]) =>
    variable(`${name}.${suffix}`, dims, "optimizer");
  const moments = shape.length < 2 ? [state("second_moment", shape)] : [
    state("row_moment", [elements(shape.slice(0, -1))]),
    state("column_moment", [shape[shape.length - 1]]),
  ];
  const stats = state("stats", [ADAFACTOR_STATS]);
  return adafactorOp([parameter, gradient, schedule, step, clip, stats, ...moments], factors);
}
