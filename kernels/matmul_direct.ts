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
  /** Steps of k in one turn of the loop; four where a load takes four of k. */
  readonly steps: number;
  /** Whether lanes exchange rows by `subgroupBroadcast`. */
  readonly subgroup: boolean;
}

/** Register blocks, measured best on lavapipe: general, attention's, and for little output. */
export const DIRECT_BLOCKS: readonly DirectBlock[] = [
  { axis: "n", rows: 16, cols: 4, lanes: 8, steps: 2, subgroup: true },
  { axis: "n", rows: 32, cols: 4, lanes: 8, steps: 2, subgroup: true },
  { axis: "n", rows: 24, cols: 4, lanes: 8, steps: 2, subgroup: true },
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

/**
 * The variant with one register block.
 *
 * With subgroups and an aligned signature, operands are read as vectors of four along their
 * unit-stride dimension: along k for four steps at once, else for four neighbours where a lane loads
 * that many. Without subgroups this was measured to be slower than scalars.
 */
export function matmulDirect(signature: MatmulSignature, block: DirectBlock): Kernel {
  const { axis, rows, cols, lanes, subgroup } = block;
  const other = axis === "n" ? "m" : "n";
  const width = cols * lanes;
  const { x, y } = operands(signature, block);
  const element = ({ vector }: Side) => vector === "none" ? "f32" : "vec4<f32>";
  return kernel({
    name: directName(block),
    ...(subgroup ? { subgroup: lanes } : {}),
    ...matmulBindings(signature, { [x.name]: element(x), [y.name]: element(y) }),
    tune: { wg: lanes },
    workgroups: (p) =>
      Math.ceil(p[axis] / width) * Math.ceil(p[other] / rows) * p.batch_i * p.batch_j,
    body: () => body(signature, block),
  });
}

/** How one operand is read. */
interface Side {
  readonly name: "a" | "b";
  /** Its dimension besides k. */
  readonly dim: "m" | "n";
  /** What a load takes four of. */
  readonly vector: "k" | "dim" | "none";
  /** Elements of `dim` that a lane loads, and loads that this takes for each step or vector of k. */
  readonly count: number;
  readonly loads: number;
}

/** The operand of the rows, X, and that of the lanes' columns, Y. */
function operands(
  { aligned, aUnit, bUnit }: MatmulSignature,
  { axis, rows, cols, lanes, subgroup }: DirectBlock,
): { x: Side; y: Side } {
  const side = (name: "a" | "b", count: number): Side => {
    const [dim, unit] = name === "a" ? ["m", aUnit] as const : ["n", bUnit] as const;
    const along = unit === "k" ? "k" : count % 4 === 0 ? "dim" : "none";
    const vector = aligned && subgroup ? along : "none";
    return { name, dim, vector, count, loads: vector === "dim" ? count / 4 : count };
  };
  const own = subgroup ? rows / lanes : rows;
  const [x, y] = axis === "n" ? ["a", "b"] as const : ["b", "a"] as const;
  return { x: side(x, own), y: side(y, cols) };
}

const each = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

function body(signature: MatmulSignature, block: DirectBlock): string {
  const { axis, rows, cols, lanes, subgroup } = block;
  const { x, y } = operands(signature, block);
  const steps = x.vector === "k" || y.vector === "k" ? 4 : block.steps;
  const width = cols * lanes;

  /** Place of a lane's i-th element among the block's; groups of four where loads take four. */
  const place = ({ vector }: Side, i: number) =>
    vector === "dim"
      ? `lane * 4u + ${Math.floor(i / 4) * 4 * lanes + i % 4}u`
      : `lane + ${i * lanes}u`;
  const column = (c: number) => `col + ${place(y, c)}`;

  // Addresses are clamped, not guarded: what lies outside is computed twice and not stored.
  const addresses = (side: Side, start: string, at: (i: number) => string) => {
    const { name, dim, vector, loads } = side;
    const scale = vector === "none" ? "" : " / 4u";
    return each(
      loads,
      (i) =>
        `var at_${name}_${i} = (${name}_start + min(${start} + ${
          at(vector === "dim" ? 4 * i : i)
        }, p.${dim} - 1u) * p.${name}_${dim})${scale};`,
    ) +
      `\nlet step_${name} = p.${name}_k${vector === "dim" ? " / 4u" : ""};`;
  };
  // Where sizes are aligned, k is a multiple of the steps.
  const guarded = (s: number) => s > 0 && !signature.aligned;
  const inside = (s: number) => guarded(s) ? `let inside_${s} = k + ${s}u < p.k;` : "";
  const load = ({ name }: Side, i: number, s: number) =>
    `${name}[at_${name}_${i}${s > 0 ? ` + ${s}u * step_${name}` : ""}]`;
  const scalar = (side: Side, i: number, s: number) =>
    guarded(s) ? `select(0.0, ${load(side, i, s)}, inside_${s})` : load(side, i, s);
  const loadsOf = (side: Side, s: number) => {
    const { name, vector, count, loads } = side;
    if (vector === "k") {
      return each(count, (i) => `let ${name}${s}_${i} = four_${name}_${i}[${s}];`);
    }
    if (vector === "dim") {
      return each(loads, (i) =>
        `let four${s}_${name}_${i} = ${load(side, i, s)};\n` +
        each(4, (e) => `let ${name}${s}_${4 * i + e} = four${s}_${name}_${i}[${e}];`));
    }
    return each(count, (i) => `let ${name}${s}_${i} = ${scalar(side, i, s)};`);
  };
  const fours = ({ name, vector, count }: Side) =>
    vector === "k" ? each(count, (i) => `let four_${name}_${i} = ${name}[at_${name}_${i}];`) : "";
  const advance = ({ name, vector, loads }: Side) =>
    each(loads, (i) => `at_${name}_${i} += ${vector === "k" ? 1 : steps}u * step_${name};`);

  // Which lane holds a row, and as which of its own.
  const holder = (r: number) =>
    x.vector === "dim"
      ? { lane: Math.floor(r / 4) % lanes, own: Math.floor(r / (4 * lanes)) * 4 + r % 4 }
      : { lane: r % lanes, own: Math.floor(r / lanes) };
  const row = (r: number, s: number) => {
    if (!subgroup) return scalar(x, r, s);
    const { lane, own } = holder(r);
    return `subgroupBroadcast(${x.name}${s}_${own}, ${lane}u)`;
  };

  // A sum takes all steps of a turn at once: stored and loaded in between, as there are more sums than
  // registers, it costs up to a third of the speed.
  const chain = (r: number, c: number) =>
    Array.from({ length: steps }, (_, s) => `fma(row_${s}, ${y.name}${s}_${c}, `).reverse().join(
      "",
    ) +
    `sum_${r}_${c}` + ")".repeat(steps);

  // What lanes hold is loaded before all sums: mixed with them it costs a fifth of the speed. Stores
  // are a loop of a count that no compiler can unroll: unrolled, their guards take four to ten times as
  // long to compile. The loop finds its row by a dynamic index, which costs less than choosing it.
  return `
let across = (p.${axis} + ${width - 1}u) / ${width}u;
let down = (p.${x.dim} + ${rows - 1}u) / ${rows}u;
let col = (group % across) * ${width}u;
let row = (group / across) % down * ${rows}u;
let batch = group / (across * down);
let j = batch % p.batch_j;
let i = batch / p.batch_j;
let a_start = p.a_0 + i * p.a_i + j * p.a_j;
let b_start = i * p.b_i + j * p.b_j;
${addresses(x, "row", (i) => subgroup ? place(x, i) : `${i}u`)}
${addresses(y, "col", (i) => place(y, i))}
${each(rows, (r) => each(cols, (c) => `var sum_${r}_${c} = 0.0;`))}
for (var k = 0u; k < p.k; k += ${steps}u) {
${fours(x)}
${fours(y)}
${each(steps, inside)}
${each(steps, (s) => loadsOf(y, s))}
${subgroup ? each(steps, (s) => loadsOf(x, s)) : ""}
${
    each(rows, (r) =>
      `{
${each(steps, (s) => `let row_${s} = ${row(r, s)};`)}
${each(cols, (c) => `sum_${r}_${c} = ${chain(r, c)};`)}
}`)
  }
${advance(x)}
${advance(y)}
}
let start = p.c_0 + i * p.c_i + j * p.c_j;
let end = min(p.${x.dim}, row + ${rows}u);
var sums: array<f32, ${rows * cols}>;
${each(rows, (r) => each(cols, (c) => `sums[${r * cols + c}] = sum_${r}_${c};`))}
for (var at_row = row; at_row < end; at_row++) {
${
    each(cols, (c) =>
      `if (${column(c)} < p.${axis}) {
  let at = start + at_row * p.c_${x.dim} + (${column(c)}) * p.c_${axis};
  let sum = sums[(at_row - row) * ${cols}u + ${c}u];
  ${matmulStore(signature, "sum", "at", axis === "n" ? `bias[${column(c)}]` : "bias[at_row]")}
}`)
  }
}`;
}
