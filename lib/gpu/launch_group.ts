/**
 * Launches of one kernel as one.
 *
 * @module
 */

import { FIRST_GROUP, grouped, startField } from "../../kernels/grouped.ts";
import { type Kernel, packParams, type Params, type Tune } from "../../kernels/kernel.ts";
import { paddedBytes } from "../graph/adjacent.ts";
import { type Role, variableAttributes } from "../graph/leaves.ts";
import { byteLength, type Dispatch, type Node, type Operand } from "../graph/node.ts";
import { placeOf, type Plan } from "../graph/plan.ts";

/** A dispatch whose kernel is fitted to how its operands are stored. */
export interface Member extends Dispatch {
  readonly tune: Tune;
  readonly groups: number;
}

/** What is launched: one dispatch, or several of one kernel. */
export interface Prepared {
  /** The members' own, or the one that works on all of them. */
  readonly kernel: Kernel;
  readonly members: readonly Member[];
  readonly tune: Tune;
  readonly groups: number;
}

/** Bytes of a buffer that a launch binds. */
export interface Extent {
  readonly offset: number;
  readonly size: number;
}

/** A launch of one dispatch. */
export function alone(member: Member): Prepared {
  const { kernel, tune, groups } = member;
  return { kernel, members: [member], tune, groups };
}

/** Whether all members share a program that knows them apart. */
export function isGrouped({ kernel, members: [first] }: Prepared): boolean {
  return kernel !== first.kernel;
}

/** What a dispatch binds under a name. */
export function operand(bound: Node | Operand): Operand {
  return "node" in bound ? bound : { node: bound };
}

/** What a program's launches are put together by. */
export interface Layout {
  readonly plan: Plan;
  /** Largest binding, bytes. */
  readonly maxBinding: number;
  /** Roles of which all variables can lie in one buffer. */
  readonly shared: ReadonlySet<Role>;
  /** Bytes that a member binds under a name, from the first of its operand's memory on. */
  readonly extent: (member: Member, name: string) => Extent;
}

/** See {@linkcode Layout}. */
export function layoutOf(plan: Plan, maxBinding: number, extent: Layout["extent"]): Layout {
  const bytes = new Map<Role, number>();
  for (const leaf of plan.order) {
    if (leaf.op.leaf !== "variable") continue;
    const { role } = variableAttributes(leaf);
    bytes.set(role, (bytes.get(role) ?? 0) + paddedBytes(byteLength(leaf, {}, plan.half)));
  }
  const shared = [...bytes].filter(([, size]) => size <= maxBinding).map(([role]) => role);
  return { plan, maxBinding, shared: new Set(shared), extent };
}

/**
 * Launches of one kernel on the same buffers as one each; by themselves where what all bind would be
 * larger than a binding.
 *
 * @param node Whose launches they are.
 */
export function together(node: Node, members: readonly Member[], layout: Layout): Prepared[] {
  const { maxBinding, extent } = layout;
  const kernels = new Map<Kernel, number>();
  const bufferOf = buffers(node, layout);
  const sets = Map.groupBy(members, ({ kernel, tune, bind }) => {
    const number = kernels.get(kernel) ?? kernels.size;
    kernels.set(kernel, number);
    const bound = Object.values(bind).map((one) => bufferOf(operand(one).node));
    return JSON.stringify([number, tune, bound]);
  });
  return [...sets.values()].flatMap((own) => {
    const fits = Object.keys(own[0].bind).every((name) =>
      span(own.map((member) => extent(member, name))).size <= maxBinding
    );
    return fits ? [one(own, layout)] : own.map((member) => one([member], layout));
  });
}

function one(members: readonly Member[], { extent }: Layout): Prepared {
  const [first] = members;
  // A buffer cannot be bound at every element.
  const bindable = Object.keys(first.bind).every((name) =>
    extent(first, name).offset % ALIGNMENT === 0
  );
  if (members.length === 1 && bindable) return alone(first);
  const groups = members.reduce((sum, member) => sum + member.groups, 0);
  return { kernel: grouped(first.kernel, members.length), members, tune: first.tune, groups };
}

/** Every adapter's alignment of a binding is a divisor of it. */
const ALIGNMENT = 256;

/** Tells what a node binds in one buffer by a name for it. */
function buffers(node: Node, { plan, shared }: Layout): (bound: Node) => string {
  const lists = node.op.together?.(node) ?? [];
  return (bound) => {
    const { of } = placeOf(plan.windows, bound);
    if (of.op.leaf !== "variable") return `${of.id} ${of.op.name}`;
    // They are laid out so, but for buffers that could not be bound.
    const { role, name } = variableAttributes(of);
    const list = lists.findIndex((own) => own.includes(of));
    return list >= 0 && shared.has(role) ? `list ${list}` : `variable ${name}`;
  };
}

/** What holds all of some extents, and can be bound. */
export function span(extents: readonly Extent[]): Extent {
  const start = Math.min(...extents.map(({ offset }) => offset));
  const end = Math.max(...extents.map(({ offset, size }) => offset + size));
  const offset = Math.floor(start / ALIGNMENT) * ALIGNMENT;
  return { offset, size: Math.ceil((end - offset) / 4) * 4 };
}

const BYTES = { f32: 4, u32: 4, i32: 4, f16: 2 } as const;

/**
 * The parameter struct of a launch as bytes.
 *
 * @param starts For each member and binding, the bytes before its operand in what is bound.
 */
export function launchParams(
  prepared: Prepared,
  starts: (member: Member, name: string) => number,
): Uint8Array<ArrayBuffer> {
  const { kernel, members, groups } = prepared;
  if (!isGrouped(prepared)) return packParams(kernel, members[0].params, groups);
  let first = 0;
  const rows = members.map((member): Params => {
    const row = {
      ...member.params,
      [FIRST_GROUP]: first,
      groups: member.groups,
      ...Object.fromEntries(
        Object.entries({ ...kernel.reads, ...kernel.writes }).map(([name, element]) => {
          const vector = /^vec4<(.*)>$/.exec(element);
          const bytes = vector === null
            ? BYTES[element as keyof typeof BYTES]
            : 4 * BYTES[vector[1] as keyof typeof BYTES];
          const start = starts(member, name) / bytes;
          if (!Number.isInteger(start)) {
            throw new RangeError(
              `Cannot run ${kernel.name}: ${name} starts ${start} elements of ${element} behind another; each must start with a whole one`,
            );
          }
          return [startField(name), start];
        }),
      ),
    };
    first += member.groups;
    return row;
  });
  return packParams(kernel, { members: members.length }, groups, rows);
}
