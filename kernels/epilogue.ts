/**
 * Kernels that apply an elementwise function to each result as they write it.
 *
 * @module
 */

import {
  type Access,
  type Elementwise,
  elementwiseCall,
  elementwiseFunction,
  load,
  OPERANDS,
} from "./elementwise.ts";
import { type Kernel, kernel } from "./kernel.ts";
import { endOf } from "./stored.ts";

/** The binding of an epilogue's operand. */
export function epilogueOperand(operand: string): string {
  return `epilogue_${operand}`;
}

const known = new WeakMap<Kernel, Map<string, Kernel>>();

/**
 * The same program that writes, in place of each result v at place i, epilogue(v, b[ib(i)], …).
 *
 * The function is applied to the very value that the program would have written, so results are
 * those of two launches. One kernel for the same function, so that its pipeline is found again.
 *
 * @param base Assigns each element of `written` once, as `written[place] = value;`.
 * @param written A binding of f32 or vec4<f32>.
 * @param epilogue Of v, named a, and the operands b, c, ….
 * @param access How each operand is read.
 */
export function withEpilogue(
  base: Kernel,
  written: string,
  epilogue: Elementwise,
  access: readonly Access[],
): Kernel {
  const own = known.get(base) ?? new Map<string, Kernel>();
  known.set(base, own);
  const { name, expression, functions, constants } = epilogue;
  const key = JSON.stringify([name, written, expression, functions, constants.length, access]);
  const found = own.get(key) ?? make(base, written, epilogue, access);
  own.set(key, found);
  return found;
}

function make(
  base: Kernel,
  written: string,
  { name, expression, functions, constants }: Elementwise,
  access: readonly Access[],
): Kernel {
  const width = base.writes[written] === "vec4<f32>" ? 4 : 1;
  const operands = OPERANDS.slice(1, access.length + 1);
  const loads = operands.map((operand, i) =>
    load(operand, epilogueOperand(operand), access[i], width)
  );
  const inside = (place: string, value: string) =>
    elementwiseCall("epilogue", [
      value,
      ...loads.map(({ value }) => value(width === 4 ? `((${place}) * 4u)` : `(${place})`)),
    ], width);
  return kernel({
    ...base,
    name: `${base.name}+${name}`,
    reads: {
      ...base.reads,
      ...Object.fromEntries(
        operands.map((operand, i) => [epilogueOperand(operand), loads[i].element]),
      ),
    },
    params: {
      ...base.params,
      ...Object.assign({}, ...loads.map(({ params }) => params)),
      ...Object.fromEntries(constants.map((_, i) => [`c${i}`, "f32" as const])),
    },
    globals: (tune) =>
      `${base.globals?.(tune) ?? ""}\n${
        elementwiseFunction("epilogue", { expression, functions }, operands.length + 1)
      }`,
    body: (tune) => rewriteAssignments(base.body(tune), written, inside),
  });
}

/** Rewrites every `name[place] = value;`. @throws TypeError where there is none. */
function rewriteAssignments(
  wgsl: string,
  name: string,
  make: (place: string, value: string) => string,
): string {
  let count = 0;
  const next = (text: string): string => {
    const access = new RegExp(`(?<![\\w.])${name}\\[`).exec(text);
    if (access === null) return text;
    const open = access.index + access[0].length;
    const close = endOf(text, open, "]");
    const assignment = /^\s*=(?!=)/.exec(text.slice(close + 1));
    if (assignment === null) return text.slice(0, close + 1) + next(text.slice(close + 1));
    count++;
    const start = close + 1 + assignment[0].length;
    const end = endOf(text, start, ";");
    const [place, value] = [text.slice(open, close), text.slice(start, end).trim()];
    // A name for the value: vectors take their components one by one.
    return `${text.slice(0, access.index)}{ let result = ${value}; ${name}[${place}] = ${
      make(place, "result")
    }; }${next(text.slice(end + 1))}`;
  };
  const rewritten = next(wgsl);
  if (count === 0) {
    throw new TypeError(`Cannot add an epilogue: nothing is assigned to ${name}[…]`);
  }
  return rewritten;
}
