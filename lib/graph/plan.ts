/**
 * Memory by lifetime: gives every intermediate of a program a slot, reusing slots of what has died.
 *
 * A slot is one buffer. An output takes a slot while its inputs still hold theirs, so no dispatch
 * ever binds one buffer as read and as read-write, which WebGPU refuses; or, where its operation can
 * work in place, that of an input that dies there, which the launch then binds once. Rows that are taken out of a
 * tensor, or joined to one, have no memory of their own where a buffer can be bound at their place.
 *
 * @module
 */

import { byteLength, type Node, storage, topological } from "./node.ts";
import { optimize } from "./passes/optimize.ts";
import { held, type Pass } from "./passes/rewrite.ts";
import { fullPrecision, type StoragePolicy } from "./precision.ts";
import { sameShape, type Sizes } from "./shape.ts";

/** Bytes at which a part of a buffer may be bound: every adapter's alignment is a divisor of them. */
const ALIGNMENT = 256;

/** The memory plan of one program. */
export interface Plan {
  /** Nodes in order of execution, leaves included, as the passes left them. */
  readonly order: readonly Node[];
  /** What the passes have made of nodes of the graph, see {@linkcode held}. */
  readonly replaced: ReadonlyMap<Node, Node>;
  /** Nodes with memory of their own that is half precision. */
  readonly half: ReadonlySet<Node>;
  /** Slot of each computed node that owns memory. */
  readonly slots: ReadonlyMap<Node, number>;
  /** Nodes whose memory is a part of another's. */
  readonly windows: ReadonlyMap<Node, Window>;
  /** Bytes of each slot, largest first. */
  readonly slotBytes: readonly number[];
}

/** A part of a node's memory. */
export interface Window {
  readonly of: Node;
  /** Its first byte. */
  readonly offset: number;
}

/** The node whose memory a node uses under a plan, and from which byte on. */
export function placeOf(windows: Plan["windows"], node: Node): Window {
  let [of, offset] = [storage(node), 0];
  for (let window = windows.get(of); window !== undefined; window = windows.get(of)) {
    of = storage(window.of);
    offset += window.offset;
  }
  return { of, offset };
}

/**
 * Plans the intermediates of the nodes that `roots` rest on.
 *
 * @param asked Nodes that must still hold their value when the program has run.
 * @param policy Which nodes lie in memory in half precision; none unless given.
 * @param passes What the program goes through first; all of them unless given.
 */
export function plan(
  roots: readonly Node[],
  sizes: Sizes,
  asked: readonly Node[] = [],
  policy: StoragePolicy = fullPrecision,
  passes?: readonly Pass[],
): Plan {
  const program = optimize(roots, sizes, asked, policy, passes);
  const { replaced, half } = program;
  const order = topological(program.roots);
  const keep = asked.map((node) => held(program, node));
  const windows = findWindows(order, sizes, keep, half);
  const owner = (node: Node) => placeOf(windows, node).of;
  const lastUse = new Map<Node, number>();
  order.forEach((node, time) => {
    for (const input of node.inputs) lastUse.set(owner(input), time);
    if (!lastUse.has(owner(node))) lastUse.set(owner(node), time);
  });
  for (const node of keep) lastUse.set(owner(node), Infinity);

  const bytes: number[] = [];
  const free: number[] = [];
  const slots = new Map<Node, number>();
  const dying = new Map<number, number[]>();
  /** The slot of an input that dies here and that the launch can write over. */
  const overwritten = (node: Node, time: number): number | undefined => {
    const owners = node.inputs.map(owner);
    const found = node.op.overwrites?.(node).find((i) => {
      const from = owners[i];
      return slots.has(from) && lastUse.get(from) === time && storage(node.inputs[i]) === from &&
        sameShape(node.inputs[i].shape, node.shape) && half.has(from) === half.has(node) &&
        owners.indexOf(from) === owners.lastIndexOf(from);
    });
    return found === undefined ? undefined : slots.get(owners[found]);
  };
  order.forEach((node, time) => {
    // Where it is a part of what comes later, all of that begins here.
    const place = owner(node);
    if (place.op.leaf === undefined && !slots.has(place)) {
      const size = byteLength(place, sizes, half);
      const over = place === node ? overwritten(node, time) : undefined;
      const slot = over ?? take(free, bytes, size);
      if (over !== undefined) dying.set(time, dying.get(time)!.filter((one) => one !== over));
      slots.set(place, slot);
      const death = lastUse.get(place)!;
      if (death !== Infinity) {
        const list = dying.get(death);
        if (list === undefined) dying.set(death, [slot]);
        else list.push(slot);
      }
    }
    free.push(...dying.get(time) ?? []);
  });

  // Largest first, so that the plans of all buckets can share one arena slot by slot.
  const ranked = bytes.map((_, slot) => slot).sort((a, b) => bytes[b] - bytes[a] || a - b);
  const rank = new Map(ranked.map((slot, position) => [slot, position]));
  return {
    order,
    replaced,
    half,
    slots: new Map([...slots].map(([node, slot]) => [node, rank.get(slot)!])),
    slotBytes: ranked.map((slot) => bytes[slot]),
    windows,
  };
}

/** Which nodes can lie in the memory of what they are taken from, or are joined to. */
function findWindows(
  order: readonly Node[],
  sizes: Sizes,
  keep: readonly Node[],
  half: ReadonlySet<Node>,
): Map<Node, Window> {
  const windows = new Map<Node, Window>();
  const joins = new Set<Node>();
  const kept = new Set(keep.map(storage));
  const alike = (a: Node, b: Node) => half.has(storage(a)) === half.has(storage(b));
  const reads = (node: Node, memory: Node) =>
    node.inputs.some((one) => placeOf(windows, one).of === memory);
  for (const node of order) {
    const { taken, placed } = node.op;
    if (taken !== undefined) {
      const [of] = node.inputs;
      const offset = windowOffset(taken(node, sizes), half.has(node));
      if (offset % ALIGNMENT === 0 && alike(node, of)) windows.set(node, { of, offset });
    }
    const parts: Node[] = [];
    const memories = node.inputs.map(storage);
    placed?.(node, sizes).forEach((element, i) => {
      const part = memories[i];
      const offset = windowOffset(element, half.has(node));
      const free = part.op.leaf === undefined && !windows.has(part) && !joins.has(part) &&
        !kept.has(part) && memories.indexOf(part) === memories.lastIndexOf(part);
      const fits = offset % ALIGNMENT === 0 && alike(part, node);
      // No launch may read the buffer of which it writes a part.
      if (!free || !fits || reads(part, node) || parts.some((one) => reads(one, part))) return;
      windows.set(part, { of: node, offset });
      parts.push(part);
      joins.add(node);
    });
  }
  return windows;
}

/** The byte at which an element lies. */
export function windowOffset(element: number, half: boolean): number {
  return element * (half ? 2 : 4);
}

/** The free slot that fits best: the smallest that is large enough, else the largest, grown. */
function take(free: number[], bytes: number[], size: number): number {
  let best = -1;
  for (let i = 0; i < free.length; i++) {
    if (best < 0) best = i;
    else {
      const [current, candidate] = [bytes[free[best]], bytes[free[i]]];
      const better = candidate >= size
        ? current < size || candidate < current
        : candidate > current;
      if (better && !(current >= size && candidate < size)) best = i;
    }
  }
  if (best < 0) {
    bytes.push(size);
    return bytes.length - 1;
  }
  const [slot] = free.splice(best, 1);
  bytes[slot] = Math.max(bytes[slot], size);
  return slot;
}
