/**
 * Memory by lifetime: gives every intermediate of a program a slot, reusing slots of what has died.
 *
 * A slot is one buffer. An output takes a slot while its inputs still hold theirs, so no dispatch
 * ever binds one buffer as read and as read-write, which WebGPU refuses.
 *
 * @module
 */

import { byteLength, type Node, storage, topological } from "./node.ts";
import { fullPrecision, type StoragePolicy } from "./precision.ts";
import type { Sizes } from "./shape.ts";

/** The memory plan of one program. */
export interface Plan {
  /** Nodes in order of execution, leaves included. */
  readonly order: readonly Node[];
  /** Nodes with memory of their own that is half precision. */
  readonly half: ReadonlySet<Node>;
  /** Slot of each computed node that owns memory. */
  readonly slots: ReadonlyMap<Node, number>;
  /** Bytes of each slot, largest first. */
  readonly slotBytes: readonly number[];
}

/**
 * Plans the intermediates of the nodes that `roots` rest on.
 *
 * @param keep Nodes that must still hold their value when the program has run.
 * @param policy Which nodes lie in memory in half precision; none unless given.
 */
export function plan(
  roots: readonly Node[],
  sizes: Sizes,
  keep: readonly Node[] = [],
  policy: StoragePolicy = fullPrecision,
): Plan {
  const order = topological(roots);
  const half = policy(order, keep);
  const lastUse = new Map<Node, number>();
  order.forEach((node, time) => {
    for (const input of node.inputs) lastUse.set(storage(input), time);
    if (!lastUse.has(storage(node))) lastUse.set(storage(node), time);
  });
  for (const node of keep) lastUse.set(storage(node), Infinity);

  const bytes: number[] = [];
  const free: number[] = [];
  const slots = new Map<Node, number>();
  const dying = new Map<number, number[]>();
  order.forEach((node, time) => {
    if (node.op.leaf === undefined && storage(node) === node) {
      const size = byteLength(node, sizes, half);
      const slot = take(free, bytes, size);
      slots.set(node, slot);
      const death = lastUse.get(node)!;
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
    half,
    slots: new Map([...slots].map(([node, slot]) => [node, rank.get(slot)!])),
    slotBytes: ranked.map((slot) => bytes[slot]),
  };
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
