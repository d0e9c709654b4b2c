/**
 * Siblings in one launch: operations of one kind on parts of the same tensors, as the cells of a pack
 * have them at each site.
 *
 * @module
 */

import { variableAttributes } from "../leaves.ts";
import { isShare, type Node, storage, topological } from "../node.ts";
import { bindShape, type Sizes } from "../shape.ts";
import { type Group, groupNode, type Source } from "./group_op.ts";
import { held, type Rewritten, updatedPlaces } from "./rewrite.ts";

/** Operations above which a launch fills an adapter by itself. */
const LARGE = 2 ** 28;

/** Rows that the table of a launch may have. */
const MOST = 64;

/**
 * Puts groupable nodes into groups whose launches can be one. A group is computed where its first
 * node was, after all that any of its nodes reads. Each node has the launches that it had, so results
 * stay as they are to the bit; what each works on alone is put side by side in memory.
 *
 * Of one kind are nodes of one operation whose operands, one by one, are taken from the same tensor,
 * or are variables of the same role, or constants, or results of another such group; and which are
 * joined to the same tensor, or update variables, or neither.
 */
export function group(program: Rewritten, keep: readonly Node[], sizes: Sizes): Rewritten {
  const order = topological(program.roots);
  const fixed = new Set(keep.map((node) => held(program, node)));
  const groups = findGroups(program, order, fixed, sizes);
  for (;;) {
    const made = regroup(program, order, groups, sizes);
    if (!("cyclic" in made)) return made;
    groups.splice(groups.indexOf(made.cyclic), 1);
  }
}

/** Where a node's elements lie: in another's memory, from which of its elements on. */
function sourceOf(node: Node, half: ReadonlySet<Node>, sizes: Sizes): Source {
  let [from, start] = [node, 0];
  for (;;) {
    if (from.op.view) from = from.inputs[0];
    else if (isShare(from) && half.has(from) === half.has(storage(from.inputs[0]))) {
      start += from.op.taken!(from, sizes);
      from = from.inputs[0];
    } else return { node: from, start };
  }
}

function findGroups(
  { half }: Rewritten,
  order: readonly Node[],
  fixed: ReadonlySet<Node>,
  sizes: Sizes,
): Group[] {
  const users = new Map<Node, Node[]>();
  for (const node of order) {
    for (const input of node.inputs) {
      const list = users.get(input);
      if (list === undefined) users.set(input, [node]);
      else list.push(node);
    }
  }
  const shapeOf = (node: Node) => bindShape(node.shape, sizes);
  const isCandidate = (node: Node) =>
    node.op.groupable === true && !fixed.has(node) && node.op.flops(node, shapeOf) <= LARGE;
  /** The tensor that a node is joined to. */
  const joinOf = (node: Node): Node | undefined => {
    const joins = (users.get(node) ?? []).filter(({ op }) => op.placed !== undefined);
    const [join] = joins;
    return joins.length === 1 && half.has(join) === half.has(node) ? join : undefined;
  };
  const kinds = new Map<Node, number>();
  const numbers = new Map<string, number>();
  /** What the siblings of a node have in common with it. */
  const kindOf = (node: Node): number => {
    const known = kinds.get(node);
    if (known !== undefined) return known;
    const { op, dtype, inputs } = node;
    const key = [
      op.name,
      dtype,
      half.has(node),
      op.inPlace ? "into" : joinOf(node)?.id ?? "free",
      ...inputs.map((input) => classOf(sourceOf(input, half, sizes).node)),
    ].join(" ");
    const kind = numbers.get(key) ?? numbers.size;
    numbers.set(key, kind);
    kinds.set(node, kind);
    return kind;
  };
  const classOf = (node: Node): string => {
    if (isCandidate(node)) return `kind ${kindOf(node)}`;
    if (node.op.leaf === "constant") return "constant";
    const role = node.op.leaf === "variable" ? variableAttributes(node).role : "weight";
    return role === "weight" || role === "kept" ? `${node.id}` : role;
  };
  const found = Map.groupBy(order.filter(isCandidate), kindOf);
  return [...found.values()].flatMap((members): Group[] => {
    const places = new Set(members.map((node) => node.op.inPlace ? storage(node) : node));
    if (members.length < 2 || members.length > MOST || places.size < members.length) return [];
    const join = members[0].op.inPlace ? undefined : joinOf(members[0]);
    return [{ members, join }];
  });
}

/** The program with its groups, or one that reads what it computes. */
function regroup(
  program: Rewritten,
  order: readonly Node[],
  groups: readonly Group[],
  sizes: Sizes,
): Rewritten | { readonly cyclic: Group } {
  if (groups.length === 0) return program;
  const { half } = program;
  const groupOf = new Map(
    groups.flatMap((one) =>
      [...one.members, ...one.join === undefined ? [] : [one.join]].map((node) =>
        [node, one] as const
      )
    ),
  );
  const before = neighbours(order);
  const made = new Map<Node, Node>();
  const halves = new Set<Node>();
  let next = 0;
  const set = (node: Node, result: Node) => {
    made.set(node, result);
    if (half.has(node)) halves.add(result);
  };
  const active = new Set<Group>();
  let cyclic: Group | undefined;
  const emit = (node: Node): void => {
    if (made.has(node) || cyclic !== undefined) return;
    const own = groupOf.get(node);
    if (node.op.leaf !== undefined) set(node, node);
    else if (own === undefined) {
      [...node.inputs, ...before.get(node) ?? []].forEach(emit);
      if (cyclic === undefined) {
        set(node, { ...node, id: next++, inputs: node.inputs.map((input) => made.get(input)!) });
      }
    } else if (active.has(own)) cyclic = own;
    else emitGroup(own);
  };
  const emitGroup = (own: Group) => {
    active.add(own);
    const { members, join } = own;
    const within = new Set(members);
    const others = (join?.inputs ?? []).filter((node) => !within.has(node));
    const reads = members.flatMap(({ inputs }) => inputs);
    [...others, ...reads, ...members.flatMap((node) => before.get(node) ?? [])].forEach(emit);
    if (cyclic !== undefined) return;
    const source = (node: Node) => sourceOf(made.get(node)!, halves, sizes);
    const { whole, parts } = groupNode(
      own,
      { now: (node) => made.get(node)!, source, sizes },
    );
    const placed = { ...whole, id: next++ };
    if (half.has(members[0])) halves.add(placed);
    if (join !== undefined) set(join, placed);
    members.forEach((node, i) => set(node, parts[i](placed, next++)));
    active.delete(own);
  };
  order.forEach(emit);
  if (cyclic !== undefined) return { cyclic };
  return {
    roots: program.roots.map((node) => made.get(node)!),
    replaced: new Map([
      ...[...program.replaced].map(([first, node]) => [first, made.get(node) ?? node] as const),
      ...made,
    ]),
    half: halves,
  };
}

/** Of each node that touches a variable which the program changes: the ones that did so before. */
function neighbours(order: readonly Node[]): Map<Node, Node[]> {
  const updated = updatedPlaces(order);
  const last = new Map<string, Node>();
  const found = new Map<Node, Node[]>();
  for (const node of order) {
    if (node.op.leaf !== undefined) continue;
    const names = new Set(
      node.inputs.filter(updated).map((input) => variableAttributes(storage(input)).name),
    );
    for (const name of names) {
      const earlier = last.get(name);
      if (earlier !== undefined) found.set(node, [...found.get(node) ?? [], earlier]);
      last.set(name, node);
    }
  }
  return found;
}
