/**
 * Contraction of two operands: the matrix product in all its forms.
 *
 * @module
 */

import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { contract } from "./contract.ts";
import { lowerProduct } from "./lower_product.ts";
import { splitProduct } from "./split_product.ts";
import { letterDims, parseSubscripts } from "./subscripts.ts";
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

const einsumOp = op<Einsum>({
  name: "einsum",
  groupable: true,
  epilogue: "c",
  expand: (node, attributes) => {
    const [a, b, ...rest] = node.inputs;
    return splitProduct(node, attributes, [a, b], rest);
  },
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
  groupable: true,
  flops: ({ inputs: [_, a, b] }, { subscripts }, shape) => products(subscripts, shape(a), shape(b)),
  inPlace: true,
  expand: (node, attributes) => {
    const [variable, a, b] = node.inputs;
    return splitProduct(node, attributes, [a, b], [], variable);
  },
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
