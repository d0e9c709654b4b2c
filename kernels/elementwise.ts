import { type Kernel, kernel } from "./kernel.ts";

const cache = new Map<string, Kernel>();

/** Elements of an invocation, a workgroup apart: what an invocation costs outweighs one element. */
const PER_INVOCATION = 4;

/** Names of the inputs inside an expression. */
export const OPERANDS = ["a", "b", "c", "d"] as const;

/**
 * Elementwise map with broadcasting: y[i] = expression(a[ia(i)], b[ib(i)], …), f32, i < n.
 *
 * An input of the output's own shape has index i. A broadcast one has the sum, over its
 * `terms`, of ((i / div) % mod) * stride, with div, mod and stride as parameters.
 *
 * @param expression WGSL over the names in {@linkcode OPERANDS} and constants `p.c0`, `p.c1`, ….
 * @param terms For each input, the number of index terms, or -1 where it has the output's shape.
 * @param constants How many constants the expression uses.
 * @param functions WGSL functions that the expression calls.
 */
export function elementwise(
  name: string,
  expression: string,
  terms: readonly number[],
  constants: number,
  functions = "",
): Kernel {
  const key = `${name}|${expression}|${terms}|${constants}|${functions}`;
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const used = OPERANDS.slice(0, terms.length);
  const params: Record<string, "u32" | "f32"> = { n: "u32" };
  const loads = used.map((operand, i) => {
    if (terms[i] < 0) return `      let ${operand} = x_${operand}[i];`;
    const index = Array.from({ length: terms[i] }, (_, t) => {
      const prefix = `${operand}${t}`;
      for (const field of ["div", "mod", "stride"]) params[`${prefix}_${field}`] = "u32";
      return `((i / p.${prefix}_div) % p.${prefix}_mod) * p.${prefix}_stride`;
    });
    return `      let ${operand} = x_${operand}[${index.join(" + ") || "0u"}];`;
  });
  for (let i = 0; i < constants; i++) params[`c${i}`] = "f32";
  const result = kernel({
    name,
    reads: Object.fromEntries(used.map((operand) => [`x_${operand}`, "f32"])),
    writes: { y: "f32" },
    params,
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * PER_INVOCATION)),
    globals: () => functions,
    body: ({ wg }) =>
      Array.from({ length: PER_INVOCATION }, (_, k) =>
        `  {
    let i = group * ${wg * PER_INVOCATION}u + ${k * wg}u + lane;
    if (i < p.n) {
${loads.join("\n")}
      y[i] = ${expression};
    }
  }`).join("\n"),
  });
  cache.set(key, result);
  return result;
}
