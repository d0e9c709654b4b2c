/**
 * DoRA (Liu et al., 2024, DoRA: Weight-Decomposed Low-Rank Adaptation): magnitude and direction of a
 * weight apart.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { linear } from "../layers/linear.ts";
import type { Initializer } from "../layers/scope.ts";
import type { LinearSite } from "../layers/site.ts";
import { detach } from "../ops/detach.ts";
import { einsum } from "../ops/einsum.ts";
import { add, divide, multiply, sqrt, subtract } from "../ops/elementwise.ts";
import { reshape } from "../ops/reshape.ts";
import { sum } from "../ops/sum.ts";
import { WeightMatrix } from "./merge.ts";

/** How a magnitude starts: the norm of each output's row of W. */
export function doraMagnitude(site: LinearSite, weight: string): Initializer {
  return {
    kind: "computed",
    from: [weight],
    compute: ([values]) => rowNorms(site, new WeightMatrix(site, values)),
    text: "norms of W's rows",
  };
}

/** ‖V[output, ·]‖ of every output. */
export function rowNorms(
  { outputs, inputs }: Pick<LinearSite, "outputs" | "inputs">,
  matrix: { at: (output: number, input: number) => number },
): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: outputs }, (_, output) => {
    let total = 0;
    for (let input = 0; input < inputs; input++) total += matrix.at(output, input) ** 2;
    return Math.sqrt(total);
  });
}

/** What {@linkcode doraOutput} needs besides the site. */
export interface DoraInputs {
  /** What the low-rank product reads: x, or x after dropout. */
  readonly input: Node;
  /** Whether that is not what W has read. */
  readonly dropped: boolean;
  /** W·x + b. */
  readonly y: Node;
  /** [rank, inputs]. */
  readonly a: Node;
  /** [outputs, rank]. */
  readonly b: Node;
  /** [outputs]. */
  readonly magnitude: Node;
  readonly scaling: number;
}

/**
 * y = m ∘ (V·x) / ‖V‖ + b with V = W + s·B·A, ‖V‖ the norms of its rows as constants (the paper's
 * section 4.3), the bias outside.
 *
 * With dropout, as PEFT has it, W's own output stays and what is added reads the dropped input x̃:
 * W·x + b + g ∘ (V·x̃) − W·x̃, g = m / ‖V‖.
 */
export function doraOutput(
  { weight, layout, bias, outputs }: LinearSite,
  { input, dropped, y, a, b, magnitude, scaling }: DoraInputs,
): Node {
  const direction = layout === "out_in"
    ? einsum("nr,rc->nc", b, a, { alpha: scaling, addend: weight })
    : einsum("rc,nr->cn", a, b, { alpha: scaling, addend: weight });
  const inputAxis = layout === "out_in" ? 1 : 0;
  const squares = sum(multiply(direction, direction), inputAxis, inputAxis + 1);
  const norm = detach(sqrt(reshape(squares, [outputs])));
  const gain = divide(magnitude, norm);
  const plain = dropped
    ? linear(input, weight, {}, layout)
    : bias === undefined
    ? y
    : subtract(y, bias);
  const changed = multiply(linear(linear(input, a), b, { alpha: scaling, addend: plain }), gain);
  if (dropped) return add(y, subtract(changed, plain));
  return bias === undefined ? changed : add(changed, bias);
}
