/**
 * Matrix product in register blocks, read straight from global memory: the variant for software
 * adapters, where workgroup memory only adds copies.
 *
 * Lanes run along n (or m); each holds `cols` columns `lanes` apart, by `rows` of the other
 * dimension, as named scalars, since dynamic indices into private arrays are slow. Every lane needs
 * the same elements of the `rows` side. With subgroups each lane loads its own rows and hands them
 * round, which on lavapipe halves the time: there a load costs as much as four multiply-adds, also
 * where all lanes load the same address.
 *
 * @module
 */

import { type Kernel, kernel } from "./kernel.ts";
import { matmulBindings, type MatmulSignature, matmulStore } from "./matmul.ts";

/** Shape of the register block of a direct variant. */
export interface DirectBlock {
  /** Dimension that lanes run along. */
  readonly axis: "m" | "n";
  /** Elements of the other dimension that a lane holds; a multiple of `lanes` with subgroups. */
  readonly rows: number;
  /** Elements of the lanes' dimension that a lane holds. */
  readonly cols: number;
  /** Workgroup size; with subgroups, their size as well. */
  readonly lanes: number;
  /** Steps of k in one turn of the loop. */
  readonly steps: number;
  /** Whether lanes exchange rows by `subgroupBroadcast`. */
  readonly subgroup: boolean;
}

/** Register blocks, measured best on lavapipe: general, attention's, and for little output. */
export const DIRECT_BLOCKS: readonly DirectBlock[] = [
  { axis: "n", rows: 16, cols: 4, lanes: 8, steps: 2, subgroup: true },
  { axis: "n", rows: 24, cols: 3, lanes: 8, steps: 2, subgroup: true },
  { axis: "n", rows: 8, cols: 4, lanes: 8, steps: 2, subgroup: true },
  { axis: "m", rows: 8, cols: 4, lanes: 8, steps: 2, subgroup: true },
  { axis: "n", rows: 8, cols: 8, lanes: 8, steps: 1, subgroup: false },
  { axis: "m", rows: 2, cols: 4, lanes: 8, steps: 1, subgroup: false },
];

/** Name of the variant with a block, the same for every signature. */
export function directName({ axis, rows, cols, lanes, subgroup }: DirectBlock): string {
  return `matmul_${subgroup ? "subgroup" : "direct"}_${axis}_${rows}x${cols * lanes}`;
}

/** The variant with one register block; any strides, so that one program serves all layouts. */
export function matmulDirect(signature: MatmulSignature, block: DirectBlock): Kernel {
  const { axis, rows, cols, lanes, subgroup } = block;
  const other = axis === "n" ? "m" : "n";
  const width = cols * lanes;
  return kernel({
    name: directName(block),
    ...(subgroup ? { subgroup: lanes } : {}),
    ...matmulBindings(signature),
    tune: { wg: lanes },
    workgroups: (p) =>
      Math.ceil(p[axis] / width) * Math.ceil(p[other] / rows) * p.batch_i * p.batch_j,
    body: () => body(signature, block),
  });
}

function body(
  signature: MatmulSignature,
  { axis, rows, cols, lanes, steps, subgroup }: DirectBlock,
): string {
  // X is the operand of the rows, Y that of the lanes' columns.
  const [row, x, y] = axis === "n" ? ["m", "a", "b"] : ["n", "b", "a"];
  const width = cols * lanes;
  const xs = subgroup ? rows / lanes : rows;
  const each = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("\n");
  const col = (c: number) => `col + ${c * lanes}u`;

  // Addresses are clamped, not guarded: what lies outside is computed twice and not stored.
  const step = (s: number) => {
    const load = (operand: string, at: string) => {
      const value = `${operand}[${at}${s > 0 ? ` + ${s}u * p.${operand}_k` : ""}]`;
      return s > 0 ? `select(0.0, ${value}, inside_${s})` : value;
    };
    const spread = (r: number) =>
      subgroup ? `subgroupBroadcast(own_${Math.floor(r / lanes)}, ${r % lanes}u)` : `own_${r}`;
    return `{
${s > 0 ? `let inside_${s} = k + ${s}u < p.k;` : ""}
${each(cols, (c) => `let y_${c} = ${load(y, `y_at_${c}`)};`)}
${each(xs, (r) => `let own_${r} = ${load(x, `x_at_${r}`)};`)}
${
      each(rows, (r) =>
        `let x_${r} = ${spread(r)};\n` +
        each(cols, (c) => `sum_${r}_${c} = fma(x_${r}, y_${c}, sum_${r}_${c});`))
    }
}`;
  };

  // Stores are a loop, of a count that no compiler can unroll: unrolled, its guards would take four
  // to ten times as long to compile.
  return `
let across = (p.${axis} + ${width - 1}u) / ${width}u;
let down = (p.${row} + ${rows - 1}u) / ${rows}u;
let col = (group % across) * ${width}u + lane;
let row = (group / across) % down * ${rows}u;
let batch = group / (across * down);
let j = batch % p.batch_j;
let i = batch / p.batch_j;
let a_start = p.a_0 + i * p.a_i + j * p.a_j;
let b_start = i * p.b_i + j * p.b_j;
${
    each(xs, (r) =>
      `var x_at_${r} = ${x}_start + min(row + ${
        subgroup ? `${r * lanes}u + lane` : `${r}u`
      }, p.${row} - 1u) * p.${x}_${row};`)
  }
${
    each(cols, (c) =>
      `var y_at_${c} = ${y}_start + min(${col(c)}, p.${axis} - 1u) * p.${y}_${axis};`)
  }
${each(rows, (r) => each(cols, (c) => `var sum_${r}_${c} = 0.0;`))}
for (var k = 0u; k < p.k; k += ${steps}u) {
${each(steps, step)}
${each(xs, (r) => `x_at_${r} += ${steps}u * p.${x}_k;`)}
${each(cols, (c) => `y_at_${c} += ${steps}u * p.${y}_k;`)}
}
let start = p.c_0 + i * p.c_i + j * p.c_j + row * p.c_${row} + col * p.c_${axis};
let end = min(p.${row}, row + ${rows}u);
for (var at_row = row; at_row < end; at_row++) {
let r = at_row - row;
${
    each(cols, (c) =>
      `var sum_${c} = sum_0_${c};
${each(rows - 1, (r) => `sum_${c} = select(sum_${c}, sum_${r + 1}_${c}, r == ${r + 1}u);`)}
if (${col(c)} < p.${axis}) {
  let at = start + r * p.c_${row} + ${c * lanes}u * p.c_${axis};
  ${matmulStore(signature, `sum_${c}`, "at", axis === "n" ? `bias[${col(c)}]` : "bias[at_row]")}
}`)
  }
}`;
}
