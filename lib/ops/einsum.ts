/**
 * Contraction of two operands: the matrix product in all its forms.
 *
 * @module
 */

import type { Params } from "../../kernels/kernel.ts";
import type { MatmulSignature } from "../../kernels/matmul.ts";
import { matmulVariants } from "../../kernels/matmul_variants.ts";
import { type Dispatch, type Node, op, type RowRange, type RunContext } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { rowShards } from "./row_shards.ts";
import { lowerProduct } from "./lower_product.ts";
import { type Axis, classify, letterDims, parseSubscripts, type Subscripts } from "./subscripts.ts";
import { sumTo } from "./sum.ts";

interface Einsum {
  readonly subscripts: string;
  readonly alpha: number;
  readonly bias: boolean;
  readonly addend: boolean;
}

/** What may be fused into a contraction. */
export interface EinsumOptions {
  /** Factor of the product; 1 unless given. */
  readonly alpha?: number;
  /** Vector over the output's last dimension, added to every row. */
  readonly bias?: Node;
  /** Tensor of the output's shape, added to it. */
  readonly addend?: Node;
}

const one: Axis = { letters: "", size: 1, a: 0, b: 0, out: 0 };

const einsumOp = op<Einsum>({
  name: "einsum",
  epilogue: "c",
  flops: ({ inputs: [a, b] }, { subscripts }, shape) => products(subscripts, shape(a), shape(b)),
  shape: ([a, b, ...rest], { subscripts, bias, addend }) => {
    const parsed = parseSubscripts(subscripts);
    const dims = letterDims(parsed, a.shape, b.shape);
    const shape = [...parsed.out].map((letter) => dims.get(letter)!);
    const [biasNode, addendNode] = bias ? rest : [undefined, rest[0]];
    if (bias && !sameShape(biasNode!.shape, shape.slice(-1))) {
      throw new TypeError(
        `Cannot add bias ${formatShape(biasNode!.shape)} to ${formatShape(shape)}`,
      );
    }
    if (addend && !sameShape(addendNode!.shape, shape)) {
      throw new TypeError(`Cannot add ${formatShape(addendNode!.shape)} to ${formatShape(shape)}`);
    }
    return shape;
  },
  run: (out, attributes, context) => {
    const [a, b, ...rest] = out.inputs;
    const fused = {
      ...(attributes.bias ? { bias: rest[0] } : {}),
      ...(attributes.addend ? { d: rest[attributes.bias ? 1 : 0] } : {}),
    };
    return contract(attributes, a, b, out, fused, false, context);
  },
  // With C = alpha·AB: dA = alpha·dC contracted with B, dB likewise; a bias sums over its rows.
  backward: (out, g, needs, { subscripts, alpha, bias }) => {
    const [a, b, ...rest] = out.inputs;
    const s = parseSubscripts(subscripts);
    return [
      needs[0] ? einsum(`${s.out},${s.b}->${s.a}`, g, b, { alpha }) : null,
      needs[1] ? einsum(`${s.out},${s.a}->${s.b}`, g, a, { alpha }) : null,
      ...rest.map((node, i) => {
        if (!needs[i + 2]) return null;
        return bias && i === 0 ? sumTo(g, node.shape) : g;
      }),
    ];
  },
  onnx: (graph, [a, b, ...rest], _, { subscripts, alpha }) => {
    const product = lowerProduct(graph, subscripts, a, b);
    const scaled = alpha === 1 ? product : graph.node("Mul", [product, graph.floats(alpha)]);
    return rest.reduce((sum, term) => graph.node("Add", [sum, term]), scaled);
  },
});

const einsumIntoOp = op<Einsum>({
  name: "einsum_into",
  flops: ({ inputs: [_, a, b] }, { subscripts }, shape) => products(subscripts, shape(a), shape(b)),
  inPlace: true,
  shape: ([variable]) => variable.shape,
  run: (node, attributes, context) => {
    const [variable, a, b] = node.inputs;
    return contract(attributes, a, b, variable, {}, true, context);
  },
});

/** 2·m·n·k·batch: each combination of all letters is one multiply-add. */
function products(subscripts: string, a: readonly number[], b: readonly number[]): number {
  const dims = letterDims(parseSubscripts(subscripts), a, b);
  return 2 * elements([...dims.values()] as number[]);
}

/** The launches of a product; several where an operand is larger than a binding. */
function contract(
  { subscripts, alpha }: Einsum,
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
      const swapped = { subscripts: `${s.b},${s.a}->${s.out}`, alpha, bias: false, addend: false };
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
  return (large?.ranges ?? [undefined]).map((rows, part) => {
    // What a shard changes: the size of the cut dimension, and where the other operands begin.
    const cut = (axis: Axis) => rows !== undefined && axis.letters === large!.letter;
    const size = (axis: Axis) => cut(axis) ? rows!.count : axis.size;
    const begin = (x: "a" | "b" | "out") => {
      if (rows === undefined || large!.operand === x) return 0;
      const axis = [m, n, k].find(cut)!;
      return axis[x] * rows.start;
    };
    if (begin("b") !== 0) throw unsupported(subscripts, [k]);
    const params = {
      m: size(m),
      n: size(n),
      k: size(k),
      batch_i: i.size,
      batch_j: j.size,
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
        family: `matmul ${JSON.stringify(signature)}`,
        variants: matmulVariants(signature),
        params,
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
  const ranges: RowRange[] = rowShards(context.shape(node), context.maxBinding);
  return { operand, letter: letters[0], ranges };
}

function unsupported(subscripts: string, axes: readonly Axis[]): TypeError {
  return new TypeError(
    `Cannot contract "${subscripts}": ${
      axes.map(({ letters }) => letters).join(" and ")
    } do not lie together in memory; reshape or repeat an operand first`,
  );
}

/**
 * Contracts two tensors: `out[…] = alpha · Σ a[…]·b[…] + bias + addend`.
 *
 * @param subscripts Letters of a, b and the output, as numpy's einsum writes them.
 * @returns Node of the output's letters.
 * @throws TypeError where letters and shapes do not fit.
 */
export function einsum(
  subscripts: string,
  a: Node,
  b: Node,
  { alpha = 1, bias, addend }: EinsumOptions = {},
): Node {
  const inputs = [a, b, bias, addend].filter((node) => node !== undefined);
  return einsumOp(inputs, {
    subscripts,
    alpha,
    bias: bias !== undefined,
    addend: addend !== undefined,
  });
}

/** Whether a node is a plain contraction, which {@linkcode einsumInto} can add into a variable. */
export function isPlainEinsum(node: Node): boolean {
  const attributes = node.attributes as Einsum | null;
  return node.op.name === "einsum" && attributes !== null && !attributes.bias && !attributes.addend;
}

/** Adds the value of a plain contraction into a variable, without storing it in between. */
export function einsumInto(variable: Node, product: Node): Node {
  if (!isPlainEinsum(product) || !sameShape(variable.shape, product.shape)) {
    throw new TypeError(`Cannot accumulate a ${product.op.name} of ${formatShape(product.shape)}`);
  }
  return einsumIntoOp([variable, ...product.inputs], product.attributes as Einsum);
}
