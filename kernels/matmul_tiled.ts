/**
 * Matrix product over tiles in workgroup memory: the variant for real GPUs.
 *
 * A workgroup computes a `rows` × `columns` tile of C; each invocation keeps 4 or 8 of its rows by 4 or
 * 8 of its columns as sums in registers (a 128 × 128 tile: 256 invocations of 8 × 8, Volkov and
 * Demmel, Benchmarking GPUs to tune dense linear algebra, 2008). For each `depth` steps of k it
 * copies a slice of A and one of B to workgroup memory. What bounds such a kernel is the number of
 * instructions beside the multiply-adds, and waiting for memory:
 *
 * - Operands are copied in vectors of four along their unit-stride dimension, by one load each where
 *   the signature is aligned, and lie in workgroup memory as they were loaded: nothing is transposed,
 *   the sums take the components as they lie.
 * - What one invocation reads lies together, at places known when the kernel is generated but for the
 *   group of four steps: of all reads of a group, one address per operand is computed.
 * - The memory of each column of invocations is an odd number of vectors apart, so that eight
 *   neighbours, whose vectors are served at once, read and write all of the 32 banks (NVIDIA, CUDA
 *   C++ Best Practices Guide, Shared Memory and Memory Banks).
 * - The next slice is loaded to registers while this one is summed, so that sums hide the latency of
 *   memory (Nath, Tomov and Dongarra, An improved MAGMA GEMM for Fermi GPUs, 2010). The loop begins
 *   without a slice to sum: loads written out before it would double the time to compile.
 *
 * @module
 */

import { type Kernel, kernel } from "./kernel.ts";
import { matmulBindings, type MatmulSignature, matmulStore } from "./matmul.ts";

/** Shape of a tiled variant. */
export interface Tile {
  /** Rows of C for a workgroup. */
  readonly rows: number;
  /** Invocations that share the rows, 4 or 8 each. */
  readonly down: number;
  /** Columns of C for a workgroup. */
  readonly columns: number;
  /** Invocations that share the columns, 4 or 8 each. */
  readonly across: number;
  /** Steps of k that are copied at a time, a multiple of eight. */
  readonly depth: number;
}

/** Tiles in workgroup memory, squares by size, then those of skinny products; the largest takes 17 KiB. */
export const TILES: readonly Tile[] = [
  { rows: 128, down: 16, columns: 128, across: 16, depth: 16 },
  { rows: 64, down: 8, columns: 64, across: 8, depth: 16 },
  { rows: 32, down: 8, columns: 32, across: 8, depth: 16 },
  { rows: 128, down: 32, columns: 8, across: 2, depth: 8 },
  { rows: 8, down: 2, columns: 128, across: 32, depth: 8 },
];

/** Name of the variant with a tile, the same for every signature. */
export function tiledName({ rows, columns }: Tile): string {
  return `matmul_tiled_${rows === columns ? rows : `${rows}x${columns}`}`;
}

/** The variant with one tile. */
export function matmulTiled(signature: MatmulSignature, tile: Tile): Kernel {
  const { rows, down, columns, across } = tile;
  const sides = [sideA(signature, tile), sideB(signature, tile)];
  const element = signature.aligned ? "vec4<f32>" : "f32";
  return kernel({
    name: tiledName(tile),
    ...matmulBindings(signature, { a: element, b: element }),
    tune: { wg: down * across },
    workgroups: (p) => Math.ceil(p.m / rows) * Math.ceil(p.n / columns) * p.batch_i * p.batch_j,
    globals: () => each(sides, (side) => memory(side, tile)),
    body: () => body(signature, tile, sides),
  });
}

/** One operand of a tile. */
interface Side {
  readonly name: "a" | "b";
  /** Its dimension besides k, and the tile's elements of it. */
  readonly dim: "m" | "n";
  readonly size: number;
  /** Invocations that these are shared by, the index among them, and fours that each has. */
  readonly count: number;
  readonly index: string;
  readonly fours: number;
  /** Whether vectors run along k, not along the dimension. */
  readonly alongK: boolean;
}

function sideA({ aUnit }: MatmulSignature, { rows, down }: Tile): Side {
  const shared = { size: rows, count: down, fours: rows / (4 * down) };
  return { name: "a", dim: "m", ...shared, index: "ty", alongK: aUnit === "k" };
}

function sideB({ bUnit }: MatmulSignature, { columns, across }: Tile): Side {
  const shared = { size: columns, count: across, fours: columns / (4 * across) };
  return { name: "b", dim: "n", ...shared, index: "tx", alongK: bUnit === "k" };
}

function each<T>(list: Iterable<T>, line: (one: T) => string): string {
  return Array.from(list, line).join("\n");
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/**
 * A slice in workgroup memory: for each invocation along the side, and each of its elements (along k)
 * or each step and four of its elements, vectors of all groups of four steps.
 */
function memory({ name, count, fours }: Side, { depth }: Tile): string {
  return `struct Part_${name} { v: array<array<vec4<f32>, ${depth / 4}>, ${
    4 * fours
  }>, odd: vec4<f32> }
var<workgroup> tile_${name}: array<Part_${name}, ${count}>;`;
}

/** How a side's slices get from global to workgroup memory, by vectors that each invocation moves. */
function copies({ aligned }: MatmulSignature, side: Side, { down, across, depth }: Tile) {
  const { name, dim, size, count, fours, alongK } = side;
  const threads = down * across;
  const vectors = size * depth / 4;
  const moved = range(Math.ceil(vectors / threads));
  const guard = (i: number) =>
    (i + 1) * threads > vectors ? ` && lane < ${vectors % threads}u` : "";
  const stride = `p.${name}_${alongK ? "k" : dim}`;
  /** Places of a vector: of the tile's elements, and of the slice's steps. */
  const places = (i: number) => {
    const v = `(lane + ${i * threads}u)`;
    return alongK
      ? { element: `${v} / ${depth / 4}u`, step: `${v} % ${depth / 4}u * 4u` }
      : { element: `${v} % ${size / 4}u * 4u`, step: `${v} / ${size / 4}u` };
  };
  const start = each(moved, (i) => {
    const { element, step } = places(i);
    const at =
      `${name}_start + step_${name}_${i} * p.${name}_k + own_${name}_${i} * p.${name}_${dim}`;
    return `let step_${name}_${i} = ${step};
let own_${name}_${i} = ${dim}_0 + ${element};
var at_${name}_${i} = ${aligned ? `(${at}) / 4u` : at};`;
  });
  // What lies outside counts as zero, or, in the fours of a row that is whole, is not stored.
  const load = each(moved, (i) => {
    const inside = (e: number) => {
      const [k, at] = alongK ? [` + ${e}u`, ""] : ["", ` + ${e}u`];
      return `begin + step_${name}_${i}${k} < p.k && own_${name}_${i}${at} < p.${dim}${guard(i)}`;
    };
    const value = aligned
      ? `select(vec4<f32>(), ${name}[at_${name}_${i}], ${inside(0)})`
      : `vec4<f32>(${
        range(4).map((e) =>
          `select(0.0, ${name}[at_${name}_${i} + ${e}u * ${stride}], ${inside(e)})`
        ).join(", ")
      })`;
    return `let next_${name}_${i} = ${value};
at_${name}_${i} += ${aligned ? `${depth}u * p.${name}_k / 4u` : `${depth}u * p.${name}_k`};`;
  });
  const store = each(moved, (i) => {
    const { element, step } = places(i);
    const [own, vector] = alongK
      ? [`(${element})`, `(${element}) / ${4 * count}u * 4u + (${element}) % 4u`]
      : [`(${element})`, `(${step}) % 4u * ${fours}u + (${element}) / ${4 * count}u`];
    const assign =
      `tile_${name}[${own} / 4u % ${count}u].v[${vector}][(${step}) / 4u] = next_${name}_${i};`;
    return guard(i) === "" ? assign : `if (${guard(i).slice(4)}) { ${assign} }`;
  });
  return { start, load, store };
}

function body(signature: MatmulSignature, tile: Tile, [a, b]: readonly Side[]): string {
  const { rows, columns, across, depth } = tile;
  const [fromA, fromB] = [copies(signature, a, tile), copies(signature, b, tile)];
  const rowsOf = range(4 * a.fours);
  const columnsOf = range(4 * b.fours);

  /** An element of a side at one of four steps. */
  const value = ({ name, alongK, fours }: Side, i: number, step: number) =>
    alongK
      ? `${name}_${i}.${"xyzw"[step]}`
      : `${name}_${step * fours + Math.floor(i / 4)}.${"xyzw"[i % 4]}`;
  const sum = (r: number, c: number) =>
    range(4).reduce(
      (sum, s) => `fma(${value(a, r, s)}, ${value(b, c, s)}, ${sum})`,
      `sum_${r}_${c}`,
    );

  // Stores are loops of a count that no compiler can unroll: see matmul_direct.ts.
  return `
let wide = (p.n + ${columns - 1}u) / ${columns}u;
let high = (p.m + ${rows - 1}u) / ${rows}u;
let n_0 = (group % wide) * ${columns}u;
let m_0 = (group / wide) % high * ${rows}u;
let batch = group / (wide * high);
let j = batch % p.batch_j;
let i = batch / p.batch_j;
let a_start = p.a_0 + i * p.a_i + j * p.a_j;
let b_start = i * p.b_i + j * p.b_j;
let tx = lane % ${across}u;
let ty = lane / ${across}u;
${fromA.start}
${fromB.start}
${each(rowsOf, (r) => each(columnsOf, (c) => `var sum_${r}_${c} = 0.0;`))}
for (var begin = 0u; begin < p.k + ${depth}u; begin += ${depth}u) {
${fromA.load}
${fromB.load}
if (begin > 0u) {
for (var four = 0u; four < ${depth / 4}u; four++) {
${
    each([a, b], ({ name, index, fours }) =>
      each(range(4 * fours), (v) =>
        `let ${name}_${v} = tile_${name}[${index}].v[${v}][four];`))
  }
${each(rowsOf, (r) => each(columnsOf, (c) => `sum_${r}_${c} = ${sum(r, c)};`))}
}
}
workgroupBarrier();
${fromA.store}
${fromB.store}
workgroupBarrier();
}
let start = p.c_0 + i * p.c_i + j * p.c_j;
${
    each(range(a.fours), (q) =>
      `{
let row = m_0 + (${q * a.count}u + ty) * 4u;
let end = min(p.m, row + 4u);
for (var m = row; m < end; m++) {
${
        each(range(b.fours), (c) =>
          `{
${
            each(range(4), (r) =>
              `let sum_${r} = vec4<f32>(${
                range(4).map((e) => `sum_${4 * q + r}_${4 * c + e}`).join(", ")
              });`)
          }
var sum = sum_0;
${
            each([1, 2, 3], (r) => `sum = select(sum, sum_${r}, m == row + ${r}u);`)
          }
let n = n_0 + (${c * b.count}u + tx) * 4u;
let at = start + m * p.c_m + n * p.c_n;
${
            each(range(4), (e) =>
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
