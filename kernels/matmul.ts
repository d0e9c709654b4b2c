/**
 * Strided, batched matrix product, the one interface of every variant:
 *
 * C[i,j,m,n] = alpha · Σk A[i,j,m,k] · B[i,j,k,n] (+ bias[n]) (+ D[i,j,m,n]) (+ C[i,j,m,n])
 *
 * A, B, C are f32 under any strides (in elements; a batch stride of 0 repeats the operand), i and
 * j are batch dimensions, D has C's layout, and `a_0`, `c_0` are first elements, so that a part of a
 * large operand can be bound alone. The sum over k is one chain of `fma` in ascending order in every
 * variant of this class, so the choice among them does not change the order of sums; results are
 * equal to the bit where the adapter compiles `fma` alike in all of them (lavapipe multiplies, rounds
 * and adds; GPUs fuse).
 *
 * @module
 */

import { type Element, type Kernel, kernel } from "./kernel.ts";

/** What is fixed about a product when its kernel is generated. */
export interface MatmulSignature {
  /** The unit-stride dimension of A: `k` (row-major [m, k]) or `m`. */
  readonly aUnit: "m" | "k";
  /** The unit-stride dimension of B: `n` (row-major [k, n]) or `k` (as Linear weights [n, k]). */
  readonly bUnit: "k" | "n";
  /**
   * Whether loads of four along the unit dimensions never straddle anything: k, offsets and strides
   * of A and B are multiples of four, the unit strides are 1, and whole rows of A and B are bound.
   */
  readonly aligned: boolean;
  /** C += product, in place of C = product. */
  readonly accumulate: boolean;
  /** Adds bias[n]. */
  readonly bias: boolean;
  /** Adds D, laid out as C. */
  readonly addend: boolean;
}

/** Parameters of every matmul kernel. */
export const MATMUL_PARAMS = {
  m: "u32",
  n: "u32",
  k: "u32",
  batch_i: "u32",
  batch_j: "u32",
  a_0: "u32",
  a_i: "u32",
  a_j: "u32",
  a_m: "u32",
  a_k: "u32",
  b_i: "u32",
  b_j: "u32",
  b_k: "u32",
  b_n: "u32",
  c_0: "u32",
  c_i: "u32",
  c_j: "u32",
  c_m: "u32",
  c_n: "u32",
  alpha: "f32",
} as const;

/** Bindings that a signature calls for; A and B are read as scalars, or as `elements` says. */
export function matmulBindings(
  signature: MatmulSignature,
  { a = "f32", b = "f32" }: { readonly a?: Element; readonly b?: Element } = {},
): Pick<Kernel, "reads" | "writes" | "params"> {
  return {
    reads: {
      a,
      b,
      ...(signature.bias ? { bias: "f32" as const } : {}),
      ...(signature.addend ? { d: "f32" as const } : {}),
    },
    writes: { c: "f32" },
    params: MATMUL_PARAMS,
  };
}

/** WGSL that finishes one output: `sum` at element `at` of C; `bias` is read where there is one. */
export function matmulStore(
  signature: Pick<MatmulSignature, "accumulate" | "bias" | "addend">,
  sum: string,
  at: string,
  bias: string,
): string {
  const parts = [`p.alpha * ${sum}`];
  if (signature.bias) parts.push(bias);
  if (signature.addend) parts.push(`d[${at}]`);
  if (signature.accumulate) parts.push(`c[${at}]`);
  return `c[${at}] = ${parts.join(" + ")};`;
}

const cache = new Map<string, Kernel>();

/** One invocation per output element: the plain variant, and the baseline of the others. */
export function matmulNaive(signature: MatmulSignature): Kernel {
  const key = JSON.stringify(signature);
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const result = kernel({
    name: "matmul_naive",
    ...matmulBindings(signature),
    tune: { wg: 64 },
    workgroups: ({ m, n, batch_i, batch_j }, { wg }) => Math.ceil(m * n * batch_i * batch_j / wg),
    body: ({ wg }) =>
      `  let e = group * ${wg}u + lane;
  if (e >= p.m * p.n * p.batch_i * p.batch_j) { return; }
  let n = e % p.n;
  let m = (e / p.n) % p.m;
  let j = (e / (p.n * p.m)) % p.batch_j;
  let i = e / (p.n * p.m * p.batch_j);
  let a0 = p.a_0 + i * p.a_i + j * p.a_j + m * p.a_m;
  let b0 = i * p.b_i + j * p.b_j + n * p.b_n;
  var sum = 0.0;
  for (var k = 0u; k < p.k; k++) { sum = fma(a[a0 + k * p.a_k], b[b0 + k * p.b_k], sum); }
  let at = p.c_0 + i * p.c_i + j * p.c_j + m * p.c_m + n * p.c_n;
  ${matmulStore(signature, "sum", "at", "bias[n]")}`,
  });
  cache.set(key, result);
  return result;
}
