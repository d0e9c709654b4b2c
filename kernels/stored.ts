/**
 * Kernels whose storage is half precision while their arithmetic stays f32.
 *
 * @module
 */

import { type Element, type Kernel, kernel } from "./kernel.ts";

const HALF: Partial<Record<Element, Element>> = { "f32": "f16", "vec4<f32>": "vec4<f16>" };

const known = new WeakMap<Kernel, Map<string, Kernel>>();

/**
 * The same program with some of its f32 bindings stored as f16: what it reads from them is widened
 * as it is read, what it writes to them rounded as it is written, and everything between is as it
 * was. Vectors of four stay vectors. A value beyond 65504 becomes infinite where the adapter rounds to
 * the nearest, as WGSL leaves open; loss scaling rests on that. One kernel for the same names, so
 * that its pipeline is found again.
 *
 * @param names Bindings, each of f32 or vec4<f32>.
 * @throws TypeError where a binding is missing, of another type, or updated by an operator such as
 *   `+=`.
 */
export function stored(base: Kernel, names: readonly string[]): Kernel {
  const own = known.get(base) ?? new Map<string, Kernel>();
  known.set(base, own);
  const key = names.join(" ");
  const found = own.get(key) ?? make(base, names);
  own.set(key, found);
  return found;
}

function make(base: Kernel, names: readonly string[]): Kernel {
  const elements = new Map(names.map((name) => {
    const own = base.reads[name] ?? base.writes[name];
    const half = HALF[own];
    if (half === undefined) {
      throw new TypeError(
        `Cannot store ${name} of ${base.name} in f16: it must be a binding of f32, found ${
          own ?? "none"
        }`,
      );
    }
    return [name, { own, half }];
  }));
  const typed = (bindings: Kernel["reads"]) =>
    Object.fromEntries(
      Object.entries(bindings).map(([name, own]) => [name, elements.get(name)?.half ?? own]),
    );
  const convert = (wgsl: string) =>
    [...elements].reduce(
      (text, [name, { own, half }]) => convertAccess(text, name, own, half),
      wgsl,
    );
  return kernel({
    ...base,
    name: `${base.name}_f16`,
    reads: typed(base.reads),
    writes: typed(base.writes),
    globals: (tune) => convert(base.globals?.(tune) ?? ""),
    body: (tune) => convert(base.body(tune)),
  });
}

/**
 * Rewrites every access to one array: `name[i]` to `wide(name[i])`, and `name[i] = e;` to
 * `name[i] = narrow(e);`.
 *
 * @throws TypeError at an assignment by an operator.
 */
export function convertAccess(wgsl: string, name: string, wide: string, narrow: string): string {
  const access = new RegExp(`(?<![\\w.])${name}\\[`).exec(wgsl);
  if (access === null) return wgsl;
  const again = (text: string) => convertAccess(text, name, wide, narrow);
  const open = access.index + name.length;
  const close = endOf(wgsl, open + 1, "]");
  const place = `${name}[${again(wgsl.slice(open + 1, close))}]`;
  const [before, after] = [wgsl.slice(0, access.index), wgsl.slice(close + 1)];
  const assignment = /^\s*([-+*/%&|^]|<<|>>)?=(?!=)/.exec(after);
  if (assignment === null) return `${before}${wide}(${place})${again(after)}`;
  if (assignment[1] !== undefined) {
    throw new TypeError(
      `Cannot store ${name} in f16: "${name}[…] ${assignment[1]}= …" must be written as ` +
        `"${name}[…] = ${name}[…] ${assignment[1]} …"`,
    );
  }
  const end = endOf(after, assignment[0].length, ";");
  const value = again(after.slice(assignment[0].length, end)).trim();
  return `${before}${place} = ${narrow}(${value});${again(after.slice(end + 1))}`;
}

/** Place of the first `closing` from `start` outside of nested brackets. */
export function endOf(text: string, start: number, closing: "]" | ";"): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (depth === 0 && text[i] === closing) return i;
    if ("([{".includes(text[i])) depth++;
    if (")]}".includes(text[i])) depth--;
  }
  throw new TypeError(`Cannot find the "${closing}" that ends "${text.slice(start, start + 40)}"`);
}
