import { Matrix, SingularValueDecomposition } from "ml-matrix";
import type { Initializer } from "../layers/scope.ts";
import type { LinearSite } from "../layers/site.ts";
import { WeightMatrix } from "./merge.ts";

/**
 * PiSSA's start (Meng et al., 2024, PiSSA: Principal Singular Values and Singular Vectors Adaptation):
 * with W = U·S·Vᵀ, the first `rank` columns of U times √(S/s), and of V likewise, so that s·B·A is the
 * closest matrix of that rank to W.
 *
 * @param scaling s, the factor of the product B·A.
 * @throws RangeError if W has no so many singular values.
 */
export function pissaStart(
  site: LinearSite,
  rank: number,
  scaling: number,
): { a: Initializer; b: Initializer } {
  const { path, inputs, outputs } = site;
  if (rank > Math.min(inputs, outputs)) {
    throw new RangeError(
      `Cannot start lora at ${path} by PiSSA: rank ${rank} is more than its ${
        Math.min(inputs, outputs)
      } singular values; use a smaller rank`,
    );
  }
  const factors = (values: Float32Array) => {
    const { u, s, v } = singular(site, values);
    const root = (r: number) => Math.sqrt(s[r] / scaling);
    return {
      a: (r: number, input: number) => v.get(input, r) * root(r),
      b: (output: number, r: number) => u.get(output, r) * root(r),
    };
  };
  const computed = (
    compute: (values: Float32Array) => Float32Array<ArrayBuffer>,
  ): Initializer => ({
    kind: "computed",
    from: [`${path}.weight`],
    compute: ([values]) => compute(values),
    text: "largest singular parts of W",
  });
  return {
    a: computed((values) => {
      const { a } = factors(values);
      return Float32Array.from(
        { length: rank * inputs },
        (_, i) => a(Math.floor(i / inputs), i % inputs),
      );
    }),
    b: computed((values) => {
      const { b } = factors(values);
      return Float32Array.from(
        { length: outputs * rank },
        (_, i) => b(Math.floor(i / rank), i % rank),
      );
    }),
  };
}

interface Singular {
  readonly u: Matrix;
  readonly s: readonly number[];
  readonly v: Matrix;
}

/** Decompositions, each made once: A, B and their starts need the same. */
const known = new WeakMap<Float32Array, Singular>();

/** W [outputs, inputs] as U·diag(s)·Vᵀ, in f64, s falling. */
function singular(site: LinearSite, values: Float32Array): Singular {
  const found = known.get(values);
  if (found !== undefined) return found;
  const weight = new WeightMatrix(site, values);
  const matrix = new Matrix(site.outputs, site.inputs);
  for (let output = 0; output < site.outputs; output++) {
    for (let input = 0; input < site.inputs; input++) {
      matrix.set(output, input, weight.at(output, input));
    }
  }
  const { leftSingularVectors: u, diagonal: s, rightSingularVectors: v } =
    new SingularValueDecomposition(matrix, { autoTranspose: true });
  known.set(values, { u, s, v });
  return { u, s, v };
}
