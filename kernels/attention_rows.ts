/**
 * What the kernels of fused attention share: each invocation owns some rows of one side (queries or
 * keys) and meets the other side's one by one, which all invocations of a workgroup read alike.
 *
 * Every sum is the same chain of `fma` in every variant: over a head's elements {@linkcode dot}'s,
 * over keys or queries ascending. So variants are one class, and what does not count changes no bit.
 *
 * @module
 */

import type { Element } from "./kernel.ts";

/** What is fixed about an attention when its kernel is generated. */
export interface AttentionSignature {
  /** Elements of a head, a multiple of eight. */
  readonly headSize: number;
  readonly bias: boolean;
  readonly mask: boolean;
  readonly causal: boolean;
}

/** How rows are spread over invocations. */
export interface AttentionBlock {
  /** Workgroup size; with subgroups, eight as their size. */
  readonly lanes: number;
  /** Rows that an invocation owns. */
  readonly own: number;
  /**
   * Whether the other side's rows are handed round by `subgroupBroadcast`, each lane loading some
   * elements, or lie in workgroup memory.
   */
  readonly subgroup: boolean;
}

/** Parameters of every kernel of attention: rows are B·T·H, rows of keys B·S·K, eights D/8. */
export const ATTENTION_PARAMS = {
  rows: "u32",
  key_rows: "u32",
  heads: "u32",
  key_heads: "u32",
  queries: "u32",
  keys: "u32",
  eights: "u32",
  scale: "f32",
} as const;

/** The rows of the other side. */
export interface OtherRows {
  /** Bindings of which row `item` is read, `headSize` elements each. */
  readonly vectors: readonly string[];
  /** First row, and the one behind the last. */
  readonly start: string;
  readonly end: string;
  /** Which row `item` is among all of its bindings'. */
  readonly place: string;
}

/** WGSL lines for 0 to count − 1. */
export function each(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/**
 * Defines `name` = Σd a(d)·b(d): eight chains of every eighth element, added one after another.
 */
export function dot(
  name: string,
  headSize: number,
  a: (d: number) => string,
  b: (d: number) => string,
  start?: string,
): string {
  const parts = Array.from(
    { length: 8 },
    (_, part) => chainOf(headSize / 8, (c) => a(part + 8 * c), (c) => b(part + 8 * c), start),
  );
  return `${each(8, (part) => `let ${name}_part_${part} = ${parts[part]};`)}
let ${name} = ${parts.map((_, part) => `${name}_part_${part}`).join(" + ")};`;
}

/** start + a(0)·b(0) + a(1)·b(1) + …, one after another; start is 0 unless given. */
export function chainOf(
  count: number,
  a: (i: number) => string,
  b: (i: number) => string,
  start?: string,
): string {
  let sum = start === undefined ? `${a(0)} * ${b(0)}` : `fma(${a(0)}, ${b(0)}, ${start})`;
  for (let i = 1; i < count; i++) sum = `fma(${a(i)}, ${b(i)}, ${sum})`;
  return sum;
}

/**
 * A 0 that compilers do not know: of two products that are added, they choose which one to round, and
 * not alike in all variants.
 */
export const ZERO = "bitcast<f32>(p.eights >> 31u)";

/** Element type of the bindings that {@linkcode OtherRows} are read from. */
export function otherElement({ subgroup }: AttentionBlock): Element {
  return subgroup ? "f32" : "vec4<f32>";
}

/** Rows in workgroup memory at once, at most 16 KiB of two bindings. */
function tileOf(headSize: number): number {
  return headSize <= 64 ? 32 : 16;
}

/** Workgroup memory of a variant. */
export function sharedRows(
  { headSize }: AttentionSignature,
  { subgroup }: AttentionBlock,
  vectors: readonly string[],
): string {
  if (subgroup) return "";
  return vectors.map((name) =>
    `var<workgroup> shared_${name}: array<vec4<f32>, ${tileOf(headSize) * headSize / 4}>;`
  ).join("\n");
}

/**
 * A loop over the other side's rows, `width` at once from row `base` on; the last ones may be beyond
 * the end.
 */
export function overRows(
  { headSize }: AttentionSignature,
  { lanes, subgroup }: AttentionBlock,
  { vectors, start, end, place }: OtherRows,
  width: number,
  body: string,
): string {
  if (subgroup) {
    return `for (var base = ${start}; base < ${end}; base += ${width}u) {
${body}
}`;
  }
  const tile = tileOf(headSize);
  const size = headSize / 4;
  return `for (var tile = ${start}; tile < ${end}; tile += ${tile}u) {
workgroupBarrier();
for (var i = lane; i < ${tile * size}u; i += ${lanes}u) {
let item = min(tile + i / ${size}u, ${end} - 1u);
let from_item = (${place}) * ${size}u + i % ${size}u;
${vectors.map((name) => `shared_${name}[i] = ${name}[from_item];`).join("\n")}
}
workgroupBarrier();
for (var base = tile; base < min(tile + ${tile}u, ${end}); base += ${width}u) {
${body}
}
}`;
}

/** Defines `<name>_<d>`, the elements of row `item`, which is `at` rows behind `base`. */
export function otherRow(
  { headSize }: AttentionSignature,
  { subgroup }: AttentionBlock,
  { place }: OtherRows,
  name: string,
  at = "0u",
): string {
  if (subgroup) {
    return `let ${name}_at = (${place}) * ${headSize}u + lane;
${each(headSize / 8, (c) => `let ${name}_own_${c} = ${name}[${name}_at + ${8 * c}u];`)}
${
      each(headSize, (d) =>
        `let ${name}_${d} = subgroupBroadcast(${name}_own_${d >> 3}, ${d & 7}u);`)
    }`;
  }
  const size = headSize / 4;
  return each(
    size,
    (c) =>
      `let ${name}_four_${c} = shared_${name}[(base + ${at} - tile) * ${size}u + ${c}u];
${each(4, (e) => `let ${name}_${4 * c + e} = ${name}_four_${c}[${e}];`)}`,
  );
}

/** Finds an invocation's own rows: `own_<i>` of its head, `row_<i>` of all. */
export function ownRows({ own, lanes }: AttentionBlock, side: "queries" | "keys"): string {
  const heads = side === "queries" ? "heads" : "key_heads";
  const width = own * lanes;
  return `let tiles = (p.${side} + ${width - 1}u) / ${width}u;
let head = (group / tiles) % p.${heads};
let example = group / (tiles * p.${heads});
let own_first = (group % tiles) * ${width}u;
${
    each(own, (i) =>
      `let own_${i} = min(own_first + ${i * lanes}u + lane, p.${side} - 1u);
let row_${i} = (example * p.${side} + own_${i}) * p.${heads} + head;`)
  }`;
}

/**
 * Defines `<name>_<i>_<d>`, the elements of own row i.
 *
 * With subgroups in a loop of a count that no compiler can unroll: on software adapters each load and
 * store in the source is many instructions, most of what would be compiled.
 */
export function ownRow(
  { headSize }: AttentionSignature,
  { subgroup }: AttentionBlock,
  name: string,
  i: number,
): string {
  const eights = headSize / 8;
  const four = (c: number) => `${name}_${i}_four_${c}`;
  const elements = each(
    2 * eights,
    (c) => each(4, (e) => `let ${name}_${i}_${4 * c + e} = ${four(c)}[${e}];`),
  );
  if (!subgroup) {
    return `${
      each(2 * eights, (c) => `let ${four(c)} = ${name}[row_${i} * ${2 * eights}u + ${c}u];`)
    }
${elements}`;
  }
  return `${each(2 * eights, (c) => `var ${four(c)} = vec4f();`)}
for (var c = 0u; c < p.eights; c++) {
let even = ${name}[row_${i} * ${2 * eights}u + 2u * c];
let odd = ${name}[row_${i} * ${2 * eights}u + 2u * c + 1u];
${
    each(eights, (c) =>
      `${four(2 * c)} = select(${four(2 * c)}, even, c == ${c}u);
${four(2 * c + 1)} = select(${four(2 * c + 1)}, odd, c == ${c}u);`)
  }
}
${elements}`;
}

/** Stores own rows, where they are not the last row again; a loop as in {@linkcode ownRow}. */
export function storeRows(
  { headSize }: AttentionSignature,
  { own, lanes, subgroup }: AttentionBlock,
  side: "queries" | "keys",
  { to, first = "0u", sum, factor = () => "1.0" }: {
    readonly to: string;
    /** First row. */
    readonly first?: string;
    readonly sum: string;
    readonly factor?: (i: number) => string;
  },
): string {
  const eights = headSize / 8;
  const four = (i: number, c: number) =>
    `vec4f(${[0, 1, 2, 3].map((e) => `${sum}_${i}_${4 * c + e}`).join(", ")})`;
  const place = (i: number) => `(${first} + row_${i}) * ${2 * eights}u`;
  return each(own, (i) =>
    `if (own_first + ${i * lanes}u + lane < p.${side}) {
${
      subgroup
        ? `for (var c = 0u; c < p.eights; c++) {
var even = ${four(i, 0)};
var odd = ${four(i, 1)};
${
          each(eights - 1, (c) =>
            `even = select(even, ${four(i, 2 * c + 2)}, c == ${c + 1}u);
odd = select(odd, ${four(i, 2 * c + 3)}, c == ${c + 1}u);`)
        }
${to}[${place(i)} + 2u * c] = even * ${factor(i)};
${to}[${place(i)} + 2u * c + 1u] = odd * ${factor(i)};
}`
        : each(2 * eights, (c) => `${to}[${place(i)} + ${c}u] = ${four(i, c)} * ${factor(i)};`)
    }
}`);
}

/** Workgroups of a kernel whose invocations own rows of a side. */
export function ownGroups({ own, lanes }: AttentionBlock, rows: number, length: number): number {
  return Math.ceil(length / (own * lanes)) * rows / length;
}
