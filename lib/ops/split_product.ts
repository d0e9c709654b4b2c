/**
 * Products whose sums are very long: cut into slices that are computed side by side, and then added.
 *
 * A product with few outputs and a long k, as the gradient of logits over a vocabulary towards the
 * states, has work for a handful of workgroups, each with a chain of k additions. Cut into slices it
 * has work for that many times more. The slices are summed in ascending order by a second launch.
 *
 * @module
 */

import { type ProductEnd, sumSlices } from "../../kernels/sum_slices.ts";
import { type Node, op } from "../graph/node.ts";
import { type Dim, elements, type Shape } from "../graph/shape.ts";
import { contract, type Product } from "./contract.ts";
import { reshape } from "./reshape.ts";
import { letterDims, parseSubscripts } from "./subscripts.ts";

/** Sums from this length on are cut: no hidden size that models have, but their vocabularies. */
const LONG = 16384;

/**
 * The most elements of a slice: 16 slices for T5's vocabulary, so that what gave work to tens of
 * multiprocessors gives some to hundreds. The slices' sums take n/2048 of the memory of the factor
 * [m, k], which in T5-small is a quarter of the logits' gradient.
 */
const SLICE = 2048;

/**
 * Into how many equal slices a sum is cut; 1 where it is left whole. It follows from the length
 * alone, so that results do not depend on rows, cells or adapter: the fewest of at most 2048 elements,
 * and at least half of that, whose length is a multiple of four where the whole's is.
 */
export function sliceCount(length: number): number {
  if (length < LONG) return 1;
  const unit = length % 4 === 0 ? 4 : 1;
  for (let count = Math.ceil(length / SLICE); count <= 2 * length / SLICE; count++) {
    if (length % (count * unit) === 0) return count;
  }
  return 1;
}

const slicesOp = op<{ subscripts: string; slices: number }>({
  name: "einsum_slices",
  flops: ({ inputs: [a, b] }, { subscripts }, shape) =>
    2 *
    elements([...letterDims(parseSubscripts(subscripts), shape(a), shape(b)).values()] as number[]),
  shape: ([a, b], { subscripts, slices }) => {
    const s = parseSubscripts(subscripts);
    const dims = letterDims(s, a.shape, b.shape);
    return [slices, ...[...s.out].map((letter) => dims.get(letter)!)];
  },
  run: (out, { subscripts, slices }, context) => {
    const [a, b] = out.inputs;
    const s = parseSubscripts(subscripts);
    const long = [...s.a].find((letter) => !s.out.includes(letter))!;
    const slice = [..."abcdefghijklmnopqrstuvwxyz"].find((letter) => !subscripts.includes(letter))!;
    const cut = (node: Node, letters: string) =>
      reshape(
        node,
        [...letters].flatMap((letter, axis): Dim[] => {
          const dim = node.shape[axis];
          return letter === long ? [slices, dim as number / slices] : [dim];
        }),
      );
    const write = (letters: string) => letters.replace(long, slice + long);
    const product = {
      subscripts: `${write(s.a)},${write(s.b)}->${slice}${s.out}`,
      alpha: 1,
    };
    return contract(product, cut(a, s.a), cut(b, s.b), out, {}, false, context);
  },
});

/** What the second stage does besides summing. */
type End = Pick<Product, "alpha"> & Omit<ProductEnd, "accumulate">;

/** The node's shape, and its memory where it is summed into a variable. */
const total = (accumulate: boolean) => ({
  flops: ({ inputs }: Node, _: End, shape: (node: Node) => number[]) =>
    elements(shape(inputs[accumulate ? 1 : 0])),
  shape: (inputs: readonly Node[]): Shape =>
    accumulate ? inputs[0].shape : inputs[0].shape.slice(1),
});

const sumSlicesOp = op<End>({
  name: "sum_slices",
  epilogue: "c",
  ...total(false),
  run: (out, { alpha, bias, addend }, { shape }) => {
    const [x, ...rest] = out.inputs;
    const [slices, ...dims] = shape(x);
    return [{
      kernel: sumSlices({ bias, addend, accumulate: false }),
      bind: {
        x,
        ...(bias ? { bias: rest[0] } : {}),
        ...(addend ? { d: rest[bias ? 1 : 0] } : {}),
        c: out,
      },
      params: { slices, count: elements(dims), n: dims.at(-1) ?? 1, alpha },
    }];
  },
});

const sumSlicesIntoOp = op<End>({
  name: "sum_slices_into",
  inPlace: true,
  ...total(true),
  run: ({ inputs: [variable, x] }, { alpha }, { shape }) => {
    const [slices, ...dims] = shape(x);
    return [{
      kernel: sumSlices({ bias: false, addend: false, accumulate: true }),
      bind: { x, c: variable },
      params: { slices, count: elements(dims), n: dims.at(-1) ?? 1, alpha },
    }];
  },
});

/**
 * What computes a product in slices: its second stage, in the product's place; the product itself
 * where its sums are not long.
 *
 * @param node The product, or the addition of it to a variable.
 * @param product What it is.
 * @param operands Its two factors.
 * @param terms Bias and addend, as far as it has them.
 * @param variable What it is added to, if it is.
 */
export function splitProduct(
  node: Node,
  { subscripts, alpha, bias, addend }: Product & Omit<ProductEnd, "accumulate">,
  [a, b]: readonly [Node, Node],
  terms: readonly Node[],
  variable?: Node,
): Node {
  const s = parseSubscripts(subscripts);
  const dims = letterDims(s, a.shape, b.shape);
  const summed = [...s.a].filter((letter) => !s.out.includes(letter));
  const batch = [...s.out].filter((letter) => s.a.includes(letter) && s.b.includes(letter));
  const length = summed.length === 1 ? dims.get(summed[0])! : 0;
  // A product has two dimensions of batches, of which the slices are one.
  const slices = typeof length === "number" && batch.length < 2 ? sliceCount(length) : 1;
  if (slices === 1) return node;
  // Right before it, and after what other nodes have put before it.
  const { id, original } = node;
  const parts = { ...slicesOp([a, b], { subscripts, slices }), id: id - 0.25, original };
  const end = { alpha, bias, addend };
  return variable === undefined
    ? { ...sumSlicesOp([parts, ...terms], end), id, original }
    : { ...sumSlicesIntoOp([variable, parts], end), id, original };
}
