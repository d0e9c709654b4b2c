import { type Kernel, kernel } from "./kernel.ts";

const cache = new Map<string, Kernel>();

/** Names of the inputs inside an expression. */
export const OPERANDS = ["a", "b", "c", "d", "e", "f", "g"] as const;

/** A function of some numbers, element by element, as WGSL. */
export interface Elementwise {
  readonly name: string;
  /** Over the names in {@linkcode OPERANDS} and the constants `p.c0`, `p.c1`, …. */
  readonly expression: string;
  /** WGSL functions that the expression calls, each once, what another calls before it. */
  readonly functions: readonly string[];
  /** Values of the constants. */
  readonly constants: readonly number[];
}

/**
 * How an input is read at the output's flat index i. `same`: at i. `vector` and `splat`: at the sum,
 * over `terms`, of ((i / div) % mod) * stride, with div, mod and stride as parameters; where four
 * outputs are made at once, `vector` loads four neighbours and `splat` one value for all four.
 */
export interface Access {
  readonly kind: "same" | "vector" | "splat";
  readonly terms: number;
}

/** How an input is bound and read in WGSL, with the parameters that this takes. */
export interface Load {
  readonly element: "f32" | "vec4<f32>";
  /** Over the flat index `i`. */
  readonly value: (i: string) => string;
  readonly params: Readonly<Record<string, "u32">>;
}

/** The load of operand `name` from an array, one value or four at a time. */
export function load(
  name: string,
  array: string,
  { kind, terms }: Access,
  width: 1 | 4,
): Load {
  const wide = width === 4 ? "vec4<f32>" : "f32";
  if (kind === "same") {
    return { element: wide, value: (i) => `${array}[${i} / ${width}u]`, params: {} };
  }
  const prefixes = Array.from({ length: terms }, (_, t) => `${name}${t}`);
  const params = Object.fromEntries(
    prefixes.flatMap((prefix) =>
      ["div", "mod", "stride"].map((field) => [`${prefix}_${field}`, "u32" as const])
    ),
  );
  const at = (i: string) =>
    prefixes.map((one) => `((${i} / p.${one}_div) % p.${one}_mod) * p.${one}_stride`).join(" + ") ||
    "0u";
  return kind === "vector"
    ? { element: wide, value: (i) => `${array}[(${at(i)}) / ${width}u]`, params }
    : {
      element: "f32",
      value: (i) => `${width === 4 ? "vec4f" : "f32"}(${array}[${at(i)}])`,
      params,
    };
}

/** A function's WGSL under a name, of as many numbers as `inputs`. */
export function elementwiseFunction(
  name: string,
  { expression, functions }: Pick<Elementwise, "expression" | "functions">,
  inputs: number,
): string {
  const parameters = OPERANDS.slice(0, inputs).map((operand) => `${operand}: f32`).join(", ");
  return [...functions, `fn ${name}(${parameters}) -> f32 { return ${expression}; }`].join("\n");
}

/** A call of it, for each of four values where they are vectors. */
export function elementwiseCall(name: string, values: readonly string[], width: 1 | 4): string {
  const call = (part: string) => `${name}(${values.map((value) => value + part).join(", ")})`;
  return width === 4 ? `vec4f(${[".x", ".y", ".z", ".w"].map(call).join(", ")})` : call("");
}

/**
 * Elementwise map with broadcasting: y[i] = expression(a[ia(i)], b[ib(i)], …), f32, i < n.
 *
 * @param access How each input is read.
 * @param width 4 to make four outputs at a time (n a multiple of 4), else 1. Each is computed alone,
 *   so the width does not change results.
 */
export function elementwise(
  { name, expression, functions, constants }: Elementwise,
  access: readonly Access[],
  width: 1 | 4,
): Kernel {
  const key = JSON.stringify([name, expression, access, constants.length, width, functions]);
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const used = OPERANDS.slice(0, access.length);
  const loads = used.map((operand, i) => load(operand, `x_${operand}`, access[i], width));
  const result = kernel({
    name,
    reads: Object.fromEntries(used.map((operand, i) => [`x_${operand}`, loads[i].element])),
    writes: { y: width === 4 ? "vec4<f32>" : "f32" },
    params: {
      n: "u32",
      ...Object.assign({}, ...loads.map(({ params }) => params)),
      ...Object.fromEntries(constants.map((_, i) => [`c${i}`, "f32" as const])),
    },
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * width)),
    globals: () => elementwiseFunction("apply", { expression, functions }, used.length),
    body: ({ wg }) =>
      `  let i = (group * ${wg}u + lane) * ${width}u;
  if (i >= p.n) { return; }
${used.map((operand, i) => `  let ${operand} = ${loads[i].value("i")};`).join("\n")}
  y[i / ${width}u] = ${elementwiseCall("apply", used, width)};`,
  });
  cache.set(key, result);
  return result;
}

/**
 * WGSL that rounds a number to half precision and leaves it f32, as storing it in f16 and loading it
 * does: to the nearest, ties to even, multiples of 2^-24 below 2^-14, infinite from 65520 on.
 * Compilers drop a conversion to f16 and back; these are whole numbers.
 */
export const ROUND_HALF: string = `fn round_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let even = (bits >> 13u) & 1u;
  let near = bitcast<f32>((bits + 0xfffu + even) & 0xffffe000u);
  let small = round(x * ${2 ** 24}.0) * ${(2 ** -24).toExponential()};
  let finite = select(near, small, abs(x) < ${(2 ** -14).toExponential()});
  let half = select(finite, finite * 3e38, abs(finite) > 65504.0);
  return select(half, x, (bits & 0x7f800000u) == 0x7f800000u);
}`;
