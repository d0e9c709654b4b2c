import { type Kernel, kernel } from "./kernel.ts";
import { type MatmulSignature, matmulStore } from "./matmul.ts";

/** What is added to a product besides its sums over k. */
export type ProductEnd = Pick<MatmulSignature, "accumulate" | "bias" | "addend">;

/**
 * The second stage of a matrix product whose sums over k were cut into slices:
 * C[e] = alpha · Σs X[s, e] (+ bias[e mod n]) (+ D[e]) (+ C[e]), s in ascending order.
 *
 * X: [slices, count], C, D: [count], f32, row-major. One invocation per output, so that neighbours read
 * neighbours.
 */
export function sumSlices(end: ProductEnd): Kernel {
  return kernel({
    name: "sum_slices",
    reads: {
      x: "f32",
      ...(end.bias ? { bias: "f32" as const } : {}),
      ...(end.addend ? { d: "f32" as const } : {}),
    },
    writes: { c: "f32" },
    params: { slices: "u32", count: "u32", n: "u32", alpha: "f32" },
    tune: { wg: 64 },
    workgroups: ({ count }, { wg }) => Math.ceil(count / wg),
    body: ({ wg }) =>
      `  let e = group * ${wg}u + lane;
  if (e >= p.count) { return; }
  var sum = x[e];
  for (var s = 1u; s < p.slices; s++) { sum += x[s * p.count + e]; }
  ${matmulStore(end, "sum", "e", "bias[e % p.n]")}`,
  });
}
