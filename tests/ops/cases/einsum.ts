import type { OpCase } from "../../op_cases.ts";
import { einsum } from "../../../lib/ops/einsum.ts";
import { symbol } from "../../../lib/graph/shape.ts";

/** f64 einsum of two operands by brute force. */
export function einsumReference(
  subscripts: string,
  sizes: Readonly<Record<string, number>>,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Float64Array {
  const [, la, lb, lo] = /^(\w+),(\w+)->(\w*)$/.exec(subscripts)!;
  const letters = [...new Set(la + lb)];
  const index = (part: string, at: Record<string, number>) =>
    [...part].reduce((sum, letter) => sum * sizes[letter] + at[letter], 0);
  const out = new Float64Array([...lo].reduce((n, letter) => n * sizes[letter], 1));
  const total = letters.reduce((n, letter) => n * sizes[letter], 1);
  const at: Record<string, number> = {};
  for (let e = 0; e < total; e++) {
    let rest = e;
    for (const letter of letters) {
      at[letter] = rest % sizes[letter];
      rest = Math.floor(rest / sizes[letter]);
    }
    out[index(lo, at)] += a[index(la, at)] * b[index(lb, at)];
  }
  return out;
}

const products: [string, Record<string, number>][] = [
  ["mk,kn->mn", { m: 1, n: 1, k: 1 }],
  ["mk,nk->mn", { m: 5, n: 7, k: 3 }],
  ["mk,kn->mn", { m: 64, n: 64, k: 64 }],
  ["mk,nk->mn", { m: 65, n: 63, k: 33 }],
  ["mk,nk->mn", { m: 33, n: 8, k: 128 }],
  ["km,kn->mn", { m: 65, n: 36, k: 17 }],
  ["km,nk->mn", { m: 12, n: 20, k: 9 }],
  ["btc,nc->btn", { b: 3, t: 5, c: 16, n: 12 }],
  ["bthd,bshd->bhts", { b: 2, t: 7, s: 9, h: 3, d: 8 }],
  ["bhts,bshd->bthd", { b: 2, t: 16, s: 12, h: 4, d: 16 }],
  ["bt,btc->bc", { b: 3, t: 11, c: 20 }],
];

function product([subscripts, sizes]: (typeof products)[number]): OpCase {
  const [, la, lb] = /^(\w+),(\w+)->(\w*)$/.exec(subscripts)!;
  const shape = (letters: string) => [...letters].map((letter) => symbol(letter));
  return {
    name: `einsum ${subscripts} ${JSON.stringify(sizes)}`,
    sizes,
    inputs: [{ shape: shape(la) }, { shape: shape(lb) }],
    build: ([a, b]) => einsum(subscripts, a, b, { alpha: 0.5 }),
    reference: ([a, b]) => einsumReference(subscripts, sizes, a, b).map((x) => 0.5 * x),
    atol: 1e-4,
  };
}

export const cases: readonly OpCase[] = [
  ...products.map(product),
  {
    name: "einsum with bias and addend",
    inputs: [{ shape: [9, 5] }, { shape: [6, 5] }, { shape: [6] }, { shape: [9, 6] }],
    build: ([a, b, bias, addend]) => einsum("mk,nk->mn", a, b, { bias, addend }),
    reference: ([a, b, bias, addend]) =>
      einsumReference("mk,nk->mn", { m: 9, n: 6, k: 5 }, a, b)
        .map((x, i) => x + bias[i % 6] + addend[i]),
    atol: 1e-4,
  },
  {
    // The 300 × 64 weight has 76,800 bytes: three shards, cut along n, then k, then the output's
    // rows.
    name: "einsum of an operand larger than a binding",
    maxBinding: 32768,
    inputs: [{ shape: [5, 64] }, { shape: [300, 64] }],
    build: ([x, w]) => einsum("mc,vc->mv", x, w),
    reference: ([x, w]) => einsumReference("mc,vc->mv", { m: 5, v: 300, c: 64 }, x, w),
    atol: 1e-4,
  },
  {
    // Two shards, cut along the first of two dimensions that the product takes as one.
    name: "einsum of a batch larger than a binding",
    maxBinding: 32768,
    inputs: [{ shape: [20, 10, 64] }, { shape: [6, 64] }],
    build: ([x, w]) => einsum("btc,nc->btn", x, w),
    reference: ([x, w]) => einsumReference("btc,nc->btn", { b: 20, t: 10, n: 6, c: 64 }, x, w),
    atol: 1e-4,
  },
  {
    // Sums of 16,400 in ten slices.
    name: "einsum of long sums with bias and addend",
    inputs: [{ shape: [2, 16400] }, { shape: [3, 16400] }, { shape: [3] }, { shape: [2, 3] }],
    build: ([a, b, bias, addend]) => einsum("mk,nk->mn", a, b, { alpha: 0.5, bias, addend }),
    reference: ([a, b, bias, addend]) =>
      einsumReference("mk,nk->mn", { m: 2, n: 3, k: 16400 }, a, b)
        .map((x, i) => 0.5 * x + bias[i % 3] + addend[i]),
    atol: 1e-2,
  },
  {
    // Eight slices of 24 KiB, four to a binding.
    name: "einsum of long sums over an operand larger than a binding",
    maxBinding: 98304,
    inputs: [{ shape: [1, 16384] }, { shape: [16384, 3] }],
    build: ([a, b]) => einsum("mk,kn->mn", a, b),
    reference: ([a, b]) => einsumReference("mk,kn->mn", { m: 1, n: 3, k: 16384 }, a, b),
    atol: 1e-2,
  },
];
