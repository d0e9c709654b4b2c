import type { OnnxBuilder, OnnxValue } from "../graph/onnx.ts";
import { parseSubscripts } from "./subscripts.ts";

/**
 * A contraction as ONNX nodes: MatMul between transpositions, which runtimes fold into it, or Einsum
 * where no single product does it.
 *
 * @param subscripts As numpy's einsum writes them.
 */
export function lowerProduct(
  graph: OnnxBuilder,
  subscripts: string,
  a: OnnxValue,
  b: OnnxValue,
): OnnxValue {
  const s = parseSubscripts(subscripts);
  const only = (letters: string, wanted: (letter: string) => boolean) =>
    [...letters].filter(wanted).join("");
  const batch = only(s.out, (letter) => s.a.includes(letter) && s.b.includes(letter));
  const m = only(s.out, (letter) => !s.b.includes(letter));
  const n = only(s.out, (letter) => !s.a.includes(letter));
  const k = only(s.a, (letter) => !s.out.includes(letter));
  // Leading rows count as a batch of their own where the other operand is a plain matrix.
  const rowsFit = m.length === 1 || (batch === "" && m.length > 1);
  if (!rowsFit || n.length !== 1 || k.length !== 1) {
    return graph.node("Einsum", [a, b], { equation: subscripts });
  }
  const product = graph.node("MatMul", [
    transposed(graph, a, s.a, batch + m + k),
    transposed(graph, b, s.b, batch + k + n),
  ]);
  return transposed(graph, product, batch + m + n, s.out);
}

function transposed(graph: OnnxBuilder, x: OnnxValue, from: string, to: string): OnnxValue {
  if (from === to) return x;
  return graph.node("Transpose", [x], { perm: [...to].map((letter) => from.indexOf(letter)) });
}
