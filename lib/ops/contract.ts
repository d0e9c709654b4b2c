/**
 * The launches of a contraction of two operands.
 *
 * @module
 */

import type { Params } from "../../kernels/kernel.ts";
import type { MatmulSignature } from "../../kernels/matmul.ts";
import { matmulVariants } from "../../kernels/matmul_variants.ts";
import type { Dispatch, KernelChoice, Node, RowRange, RunContext } from "../graph/node.ts";
import { elements, formatShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";
import { type Axis, classify, parseSubscripts, type Subscripts } from "./subscripts.ts";

/** What a product is, besides its operands. */
export interface Product {
  /** Letters of a, b and the output. */
  readonly subscripts: string;
  /** Factor of the product. */
  readonly alpha: number;
}

const one: Axis = { letters: "", size: 1, a: 0, b: 0, out: 0 };

/**
 * The launches of a product; several where an operand is larger than a binding.
 *
 * @param out What is written, or added to with `accumulate`.
 * @param fused A `bias` over the output's last dimension, and a tensor `d` of its shape.
 * @throws TypeError where the letters are no strided matrix product.
 * @throws RangeError where more than one operand is larger than a binding.
 */
export function contract(
  { subscripts, alpha }: Product,
  a: Node,
  b: Node,
  out: Node,
  fused: Readonly<Record<string, Node>>,
  accumulate: boolean,
  context: RunContext,
): Dispatch[] {
  const s = parseSubscripts(subscripts);
  const axes = classify(s, a, b, out, context.sizes);
  // A product is its own transpose: put the operand with the output's unit stride in B's place.
  if (axes.n.length === 0 || (axes.m.length > 0 && axes.m.at(-1)!.out === 1)) {
    if (axes.m.length > 0 && !("bias" in fused && axes.n.length > 0)) {
      const swapped = { subscripts: `${s.b},${s.a}->${s.out}`, alpha };
      if (axes.n.length === 0 || axes.n.at(-1)!.out !== 1) {
        return contract(swapped, b, a, out, fused, accumulate, context);
      }
    }
  }
  const [m, n, k] = [axes.m, axes.n, axes.k].map((list) => {
    if (list.length > 1) throw unsupported(subscripts, list);
    return list[0] ?? one;
  });
  if (axes.batch.length > 2) throw unsupported(subscripts, axes.batch);
  const [i, j] = [one, one, ...axes.batch].slice(-2);

  const large = largest(s, a, b, out, context);
  const along = [m, n, k, i, j].find(({ letters }) => letters[0] === large?.letter);
  if (large !== undefined && along === undefined) throw unsupported(subscripts, axes.batch);
  return (large?.ranges ?? [undefined]).map((rows, part) => {
    // What a shard changes: the size of the cut dimension, and where the other operands begin. The cut
    // letter may be the first of several that are one dimension.
    const cut = (axis: Axis) => rows !== undefined && axis === along;
    const each = large === undefined ? 1 : along!.size / large.rows;
    const size = (axis: Axis) => cut(axis) ? rows!.count * each : axis.size;
    const begin = (x: "a" | "b" | "out") =>
      rows === undefined || large!.operand === x ? 0 : along![x] * rows.start * each;
    if (begin("b") !== 0) throw unsupported(subscripts, [along!]);
    const params = {
      m: size(m),
      n: size(n),
      k: size(k),
      batch_i: size(i),
      batch_j: size(j),
      a_0: begin("a"),
      a_i: i.a,
      a_j: j.a,
      a_m: m.a,
      a_k: k.a,
      b_i: i.b,
      b_j: j.b,
      b_k: k.b,
      b_n: n.b,
      c_0: begin("out"),
      c_i: i.out,
      c_j: j.out,
      c_m: m.out,
      c_n: n.out,
      alpha,
    };
    const first = part === 0 || !cut(k);
    const aUnit = k.a === 1 || m.a !== 1 ? "k" : "m";
    const bUnit = n.b === 1 || k.b !== 1 ? "n" : "k";
    const signature: MatmulSignature = {
      aUnit,
      bUnit,
      aligned: aligned(params, aUnit, bUnit),
      accumulate: accumulate || !first,
      bias: "bias" in fused && first,
      addend: "d" in fused && first,
    };
    const bound = (x: "a" | "b" | "out", node: Node) =>
      rows !== undefined && large!.operand === x ? { node, rows } : node;
    return {
      kernel: context.choose({
        ...variants(signature),
        params,
        others: unaligned(signature, params).map(variants),
      }),
      bind: {
        a: bound("a", a),
        b: bound("b", b),
        c: bound("out", out),
        ...(first ? fused : {}),
      },
      params,
    };
  });
}

function variants(signature: MatmulSignature): Pick<KernelChoice, "family" | "variants"> {
  return { family: `matmul ${JSON.stringify(signature)}`, variants: matmulVariants(signature) };
}

/** Signatures without alignment, by each dimension that an operand has a unit stride along. */
function unaligned({ aUnit, bUnit, ...rest }: MatmulSignature, params: Params): MatmulSignature[] {
  const aUnits = params.a_m === 1 && params.a_k === 1 ? ["k", "m"] as const : [aUnit];
  const bUnits = params.b_k === 1 && params.b_n === 1 ? ["n", "k"] as const : [bUnit];
  return aUnits.flatMap((aUnit) =>
    bUnits.map((bUnit) => ({ aUnit, bUnit, ...rest, aligned: false }))
  );
}

/** Whether loads of four along the unit strides never straddle anything. */
function aligned(params: Params, aUnit: string, bUnit: string): boolean {
  const units = [`a_${aUnit}`, `b_${bUnit}`];
  return units.every((name) => params[name] === 1) &&
    ["k", "a_0", "a_i", "a_j", "a_m", "a_k", "b_i", "b_j", "b_k", "b_n"].every((name) =>
      units.includes(name) || params[name] % 4 === 0
    );
}

function largest(s: Subscripts, a: Node, b: Node, out: Node, context: RunContext) {
  const over = ([["a", a, s.a], ["b", b, s.b], ["out", out, s.out]] as const).filter(([, node]) =>
    elements(context.shape(node)) * 4 > context.maxBinding
  );
  if (over.length === 0) return undefined;
  if (over.length > 1) {
    const missing = Math.max(
      ...over.map(([, node]) => elements(context.shape(node)) * 4 - context.maxBinding),
    );
    throw new RangeError(
      `Cannot contract ${formatShape(a.shape)} with ${
        formatShape(b.shape)
      }: two of both and the output are larger than the adapter's largest binding (${context.maxBinding} bytes), by up to ${missing} bytes; lower --batch or --max-length`,
    );
  }
  const [[operand, node, letters]] = over;
  const shape = context.shape(node);
  const ranges: RowRange[] = rowShards(shape, context.maxBinding);
  return { operand, letter: letters[0], rows: shape[0], ranges };
}

function unsupported(subscripts: string, axes: readonly Axis[]): TypeError {
  return new TypeError(
    `Cannot contract "${subscripts}": ${
      axes.map(({ letters }) => letters).join(" and ")
    } do not lie together in memory; reshape or repeat an operand first`,
  );
}
