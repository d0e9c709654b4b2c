/**
 * Several launches of one kernel as one.
 *
 * @module
 */

import { type Kernel, kernel, type Scalar, type Tune } from "./kernel.ts";
import { endOf } from "./stored.ts";

const known = new WeakMap<Kernel, Map<number, Kernel>>();

/** Field of a member's row: from which element of a binding on its operand lies. */
export function startField(binding: string): string {
  return `${binding}_from`;
}

/** Field of a member's row: its first workgroup. */
export const FIRST_GROUP = "first_group";

/**
 * The same program for several members: each has parameters of its own and works on its own places
 * of the same bindings, in workgroups of its own, as a launch by itself would. The table has a row for
 * each member: {@linkcode FIRST_GROUP}, its number of them (`groups`), the kernel's parameters,
 * {@linkcode startField} of each binding, in its elements. `members` is how many they are; programs are
 * made for powers of two.
 *
 * @param count How many members there are.
 */
export function grouped(base: Kernel, count: number): Kernel {
  const rows = 2 ** Math.ceil(Math.log2(count));
  const own = known.get(base) ?? new Map<number, Kernel>();
  known.set(base, own);
  const found = own.get(rows) ?? make(base, rows);
  own.set(rows, found);
  return found;
}

function make(base: Kernel, count: number): Kernel {
  const bindings = [...Object.keys(base.reads), ...Object.keys(base.writes)];
  const fields: Readonly<Record<string, Scalar>> = {
    [FIRST_GROUP]: "u32",
    groups: "u32",
    ...base.params,
    ...Object.fromEntries(bindings.map((name) => [startField(name), "u32"])),
  };
  const own = (wgsl: string) =>
    bindings.reduce((text, name) => moveAccess(text, name, `own_${startField(name)}`), wgsl)
      .replace(/\bp\.(\w+)/g, "own_$1");
  const globals = (tune: Tune) => own(base.globals?.(tune) ?? "");
  const isGlobal = (tune: Tune) => {
    const text = globals(tune);
    return (name: string) => new RegExp(`\\bown_${name}\\b`).test(text);
  };
  return kernel({
    ...base,
    name: `${base.name}_grouped`,
    params: { members: "u32" },
    rows: { count, fields },
    workgroups: () => {
      throw new TypeError(`Cannot count the workgroups of ${base.name}: each member has its own`);
    },
    // What functions take of a row lies in variables of the module.
    globals: (tune) => {
      const used = Object.entries(fields).filter(([name]) => isGlobal(tune)(name));
      const variables = used.map(([name, type]) => `var<private> own_${name}: ${type};`);
      return [...variables, globals(tune)].join("\n");
    },
    body: (tune) => {
      const known = isGlobal(tune);
      const row = Object.keys(fields).map((name) =>
        `${known(name) ? "" : "let "}own_${name} = p.rows[member].${name};`
      );
      return `var member = 0u;
for (var i = 1u; i < p.members; i++) { if (group >= p.rows[i].${FIRST_GROUP}) { member = i; } }
${row.join("\n")}
{
let group = group - own_${FIRST_GROUP};
${own(base.body(tune))}
}`;
    },
  });
}

/** Rewrites every `name[i]` to `name[start + (i)]`. */
function moveAccess(wgsl: string, name: string, start: string): string {
  const access = new RegExp(`(?<![\\w.])${name}\\[`).exec(wgsl);
  if (access === null) return wgsl;
  const open = access.index + access[0].length;
  const close = endOf(wgsl, open, "]");
  const place = moveAccess(wgsl.slice(open, close), name, start);
  const rest = moveAccess(wgsl.slice(close), name, start);
  return `${wgsl.slice(0, open)}${start} + (${place})${rest}`;
}
