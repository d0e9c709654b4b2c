import { type Kernel, kernel } from "./kernel.ts";

const cache = new Map<string, Kernel>();

/** Names of the inputs inside an expression. */
export const OPERANDS = ["a", "b", "c", "d"] as const;

/**
 * How an input is read at the output's flat index i. `same`: at i. `vector` and `splat`: at the sum,
 * over `terms`, of ((i / div) % mod) * stride, with div, mod and stride as parameters; where four
 * outputs are made at once, `vector` loads four neighbours and `splat` one value for all four.
 */
export interface Access {
  readonly kind: "same" | "vector" | "splat";
  readonly terms: number;
}

/**
 * Elementwise map with broadcasting: y[i] = expression(a[ia(i)], b[ib(i)], …), f32, i < n.
 *
 * @param expression WGSL over the names in {@linkcode OPERANDS} and constants `p.c0`, `p.c1`, ….
 * @param access How each input is read.
 * @param constants How many constants the expression uses.
 * @param width 4 to make four outputs at a time (n a multiple of 4), else 1. Each is computed alone,
 *   so the width does not change results.
 * @param functions WGSL functions that the expression calls.
 */
export function elementwise(
  name: string,
  expression: string,
  access: readonly Access[],
  constants: number,
  width: 1 | 4,
  functions = "",
): Kernel {
  const key = JSON.stringify([name, expression, access, constants, width, functions]);
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const used = OPERANDS.slice(0, access.length);
  const params: Record<string, "u32" | "f32"> = { n: "u32" };
  const loads = used.map((operand, i) => {
    const { kind, terms } = access[i];
    if (kind === "same") return `  let ${operand} = x_${operand}[i / ${width}u];`;
    const index = Array.from({ length: terms }, (_, t) => {
      const prefix = `${operand}${t}`;
      for (const field of ["div", "mod", "stride"]) params[`${prefix}_${field}`] = "u32";
      return `((i / p.${prefix}_div) % p.${prefix}_mod) * p.${prefix}_stride`;
    });
    const at = index.join(" + ") || "0u";
    return kind === "vector"
      ? `  let ${operand} = x_${operand}[(${at}) / ${width}u];`
      : `  let ${operand} = ${width === 4 ? "vec4f" : "f32"}(x_${operand}[${at}]);`;
  });
  for (let i = 0; i < constants; i++) params[`c${i}`] = "f32";
  const wide = width === 4 ? "vec4<f32>" : "f32";
  const call = (part: string) => `apply(${used.map((operand) => operand + part).join(", ")})`;
  const result = kernel({
    name,
    reads: Object.fromEntries(
      used.map((operand, i) => [`x_${operand}`, access[i].kind === "splat" ? "f32" : wide]),
    ),
    writes: { y: wide },
    params,
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * width)),
    globals: () =>
      `${functions}
fn apply(${used.map((operand) => `${operand}: f32`).join(", ")}) -> f32 { return ${expression}; }`,
    body: ({ wg }) =>
      `  let i = (group * ${wg}u + lane) * ${width}u;
  if (i >= p.n) { return; }
${loads.join("\n")}
  y[i / ${width}u] = ${
        width === 4 ? `vec4f(${[".x", ".y", ".z", ".w"].map(call).join(", ")})` : call("")
      };`,
  });
  cache.set(key, result);
  return result;
}
