/**
 * Matrix product over tiles in workgroup memory: the variant for real GPUs.
 *
 * A workgroup of 8 × 8 or 16 × 16 invocations computes a `tile` × `tile` block of C. For each `depth`
 * steps of k it copies a slice of A and one of B, [k][m] and [k][n], as vectors of four with one
 * vector of padding per row against bank conflicts; each invocation then reads vectors of both and
 * keeps up to 8 × 8 sums in registers. Copies run along each operand's unit-stride dimension, so
 * that neighbouring invocations read neighbouring elements.
 *
 * Source: Volkov and Demmel, Benchmarking GPUs to tune dense linear algebra (2008).
 *
 * @module
 */

import { type Kernel, kernel } from "./kernel.ts";
import { matmulBindings, type MatmulSignature, matmulStore } from "./matmul.ts";

/** Shape of a tiled variant. */
export interface Tile {
  /** Rows and columns of C for a workgroup. */
  readonly tile: number;
  /** Invocations along each side of the workgroup. */
  readonly side: number;
  /** Steps of k that are copied at a time. */
  readonly depth: number;
}

/** Tiles in workgroup memory; the largest takes 17 KiB. */
export const TILES: readonly Tile[] = [
  { tile: 128, side: 16, depth: 16 },
  { tile: 64, side: 8, depth: 16 },
  { tile: 32, side: 8, depth: 16 },
];

/** Name of the variant with a tile, the same for every signature. */
export function tiledName({ tile }: Tile): string {
  return `matmul_tiled_${tile}`;
}

/** The variant with one tile; `tile` is a multiple of 4 · `side`. */
export function matmulTiled(signature: MatmulSignature, shape: Tile): Kernel {
  const { tile, side, depth } = shape;
  const stride = tile / 4 + 1;
  return kernel({
    name: tiledName(shape),
    ...matmulBindings(signature),
    tune: { wg: side * side },
    workgroups: (p) => Math.ceil(p.m / tile) * Math.ceil(p.n / tile) * p.batch_i * p.batch_j,
    globals: () =>
      `var<workgroup> tile_a: array<vec4<f32>, ${depth * stride}>;
var<workgroup> tile_b: array<vec4<f32>, ${depth * stride}>;`,
    body: () => body(signature, shape),
  });
}

function body(signature: MatmulSignature, { tile, side, depth }: Tile): string {
  const quads = tile / (4 * side);
  const stride = tile / 4 + 1;
  const vectors = depth * tile / 4;
  const each = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("\n");

  /** Copies vectors of four neighbours along `dim`, for one k each. */
  const copy = (x: "a" | "b", dim: "m" | "n", alongK: boolean) =>
    each(Math.ceil(vectors / (side * side)), (round) => {
      const part = `let v = lane + ${round * side * side}u;
let kk = ${alongK ? `v % ${depth}u` : `v / ${tile / 4}u`};
let q = ${alongK ? `v / ${depth}u` : `v % ${tile / 4}u`};
let ${dim} = ${dim}_0 + q * 4u;
let at = ${x}_start + (k0 + kk) * p.${x}_k + ${dim} * p.${x}_${dim};
let inside = k0 + kk < p.k;
${
        each(4, (e) =>
          `let v_${e} = select(0.0, ${x}[at + ${e}u * p.${x}_${dim}], inside && ${dim} + ${e}u < p.${dim});`)
      }
tile_${x}[kk * ${stride}u + q] = vec4<f32>(v_0, v_1, v_2, v_3);`;
      const over = (round + 1) * side * side > vectors;
      return over
        ? `if (lane + ${round * side * side}u < ${vectors}u) {\n${part}\n}`
        : `{\n${part}\n}`;
    });

  // Stores are loops of a count that no compiler can unroll: see matmul_direct.ts.
  return `
let across = (p.n + ${tile - 1}u) / ${tile}u;
let down = (p.m + ${tile - 1}u) / ${tile}u;
let n_0 = (group % across) * ${tile}u;
let m_0 = (group / across) % down * ${tile}u;
let batch = group / (across * down);
let j = batch % p.batch_j;
let i = batch / p.batch_j;
let a_start = p.a_0 + i * p.a_i + j * p.a_j;
let b_start = i * p.b_i + j * p.b_j;
let tx = lane % ${side}u;
let ty = lane / ${side}u;
${each(quads * 4, (r) => each(quads, (c) => `var sum_${r}_${c} = vec4<f32>();`))}
for (var k0 = 0u; k0 < p.k; k0 += ${depth}u) {
${copy("a", "m", signature.aUnit === "k")}
${copy("b", "n", signature.bUnit === "k")}
workgroupBarrier();
for (var kk = 0u; kk < ${depth}u; kk++) {
${each(quads, (q) => `let a_${q} = tile_a[kk * ${stride}u + ${q * side}u + ty];`)}
${each(quads, (q) => `let b_${q} = tile_b[kk * ${stride}u + ${q * side}u + tx];`)}
${
    each(quads * 4, (r) =>
      each(quads, (c) =>
        `sum_${r}_${c} = fma(vec4<f32>(a_${Math.floor(r / 4)}.${
          "xyzw"[r % 4]
        }), b_${c}, sum_${r}_${c});`))
  }
}
workgroupBarrier();
}
let start = p.c_0 + i * p.c_i + j * p.c_j;
${
    each(quads, (q) =>
      `{
let row = m_0 + (${q * side}u + ty) * 4u;
let end = min(p.m, row + 4u);
for (var m = row; m < end; m++) {
${
        each(quads, (c) =>
          `{
var sum = sum_${q * 4}_${c};
${
            each(3, (r) =>
              `sum = select(sum, sum_${q * 4 + r + 1}_${c}, m == row + ${r + 1}u);`)
          }
let n = n_0 + (${c * side}u + tx) * 4u;
let at = start + m * p.c_m + n * p.c_n;
${
            each(4, (e) =>
              `if (n + ${e}u < p.n) { ${
                matmulStore(
                  signature,
                  `sum.${"xyzw"[e]}`,
                  `at + ${e}u * p.c_n`,
                  `bias[n + ${e}u]`,
                )
              } }`)
          }
}`)
      }
}
}`)
  }`;
}
