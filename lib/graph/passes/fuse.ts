import { type Node, topological } from "../node.ts";
import { sameShape } from "../shape.ts";
import { compose } from "./compose.ts";
import { elementwiseOp, epilogueOp } from "./fused_op.ts";
import { held, rewrite, type Rewritten, updatedPlaces } from "./rewrite.ts";

/** Storage bindings that every adapter grants a launch: one to write, and as many operands as have names. */
const BINDINGS = 8;

/** An elementwise node with what is computed inside it, and what that is computed from. */
interface Tree {
  /** The root first. */
  readonly inner: readonly Node[];
  readonly leaves: readonly Node[];
  /** The leaf whose launch takes it in, if one can. */
  readonly host?: Node;
}

/**
 * Elementwise chains in one launch: what is used once, by another elementwise function of the same
 * shape, is computed inside it; and where a chain rests on a matrix product or another operation
 * that allows it, on what is used nowhere else, it becomes the epilogue of that launch.
 *
 * Each element takes the same operations in the same order, and what lay in memory in half precision
 * is rounded as before, so results stay as they are to the bit. The place in the order of execution
 * is that of the chain's end, or of the launch that it joins, which must come after all else that the
 * chain reads.
 */
export function fuse(program: Rewritten, keep: readonly Node[]): Rewritten {
  const { half } = program;
  const order = topological(program.roots);
  const treeOf = trees(program, keep, order);
  const inside = new Set<Node>();
  const chosen = new Map<Node, Tree>();
  for (const node of order.toReversed()) {
    const tree = inside.has(node) ? undefined : treeOf(node);
    if (tree === undefined) continue;
    chosen.set(node, tree);
    for (const one of tree.inner) inside.add(one);
  }
  return rewrite(program, (node, over, now) => {
    const tree = chosen.get(node);
    if (tree === undefined) return over;
    const { inner, leaves, host } = tree;
    if (host !== undefined) {
      const operands = leaves.filter((leaf) => leaf !== host);
      const made = compose(node, inner, [host, ...operands], half, host);
      const own = now(host);
      return {
        ...over,
        id: host.id,
        op: epilogueOp(own, made, inner),
        inputs: [...own.inputs, ...operands.map(now)],
        attributes: null,
      };
    }
    if (inner.length === 1) return over;
    const op = elementwiseOp(compose(node, inner, leaves, half), inner);
    return { ...over, op, inputs: leaves.map(now), attributes: null };
  });
}

/** Tells of each elementwise node what one launch would compute with it; undefined for others. */
function trees(
  program: Rewritten,
  keep: readonly Node[],
  order: readonly Node[],
): (node: Node) => Tree | undefined {
  const { roots, half } = program;
  const updated = updatedPlaces(order);
  const uses = new Map<Node, number>();
  const use = (node: Node) => uses.set(node, (uses.get(node) ?? 0) + 1);
  for (const node of order) node.inputs.forEach(use);
  // Read from outside: they must be computed for themselves.
  const asked = new Set([...roots, ...keep.map((node) => held(program, node))]);
  const once = (node: Node) => uses.get(node) === 1 && !asked.has(node);
  const fusible = (node: Node) => isElementwise(node) && !node.inputs.some(updated);

  const known = new Map<Node, Tree>();
  const treeOf = (root: Node): Tree | undefined => {
    if (!fusible(root)) return undefined;
    const tree = known.get(root) ?? decide(root);
    known.set(root, tree);
    return tree;
  };
  const decide = (root: Node): Tree => {
    const largest = grow(root, (node) => once(node) && fusible(node));
    const host = hostOf(root, largest.leaves);
    if (host === undefined) return largest;
    // Sums that can join other launches do: all their terms need not be held until the last one.
    const inner = new Set(largest.inner);
    const leads = (node: Node): boolean =>
      node === host || (inner.has(node) && node.inputs.some(leads));
    const apart = new Set(
      largest.inner.filter((node) => !leads(node) && treeOf(node)!.host !== undefined),
    );
    const tree = grow(root, (node) => once(node) && fusible(node) && !apart.has(node));
    return { ...tree, host: hostOf(root, tree.leaves) };
  };
  /** When a node will be computed. */
  const time = (node: Node) => treeOf(node)?.host?.id ?? node.id;
  /** The last leaf to be computed, where its launch can take the tree in. */
  const hostOf = (root: Node, leaves: readonly Node[]): Node | undefined => {
    const computed = leaves.filter(({ op }) => op.leaf === undefined);
    const last = computed.find((node) => computed.every((other) => time(other) <= time(node)));
    if (last === undefined || last.op.epilogue === undefined || !once(last)) return undefined;
    const fits = sameShape(last.shape, root.shape) &&
      last.inputs.length + leaves.length <= BINDINGS && (half.has(last) || !half.has(root));
    return fits ? last : undefined;
  };
  return treeOf;
}

function isElementwise({ op, dtype, inputs }: Node): boolean {
  return op.elementwise !== undefined && dtype === "f32" &&
    inputs.every(({ dtype }) => dtype === "f32");
}

/** The largest tree under a root that one launch can bind. */
function grow(root: Node, free: (node: Node) => boolean): Tree {
  const inner = [root];
  const leaves = [...new Set(root.inputs)];
  for (let i = 0; i < leaves.length;) {
    const node = leaves[i];
    const within = [...new Set([...leaves.slice(0, i), ...node.inputs, ...leaves.slice(i + 1)])];
    const fits = free(node) && sameShape(node.shape, root.shape) && within.length < BINDINGS;
    if (!fits) i++;
    else {
      inner.push(node);
      leaves.splice(0, leaves.length, ...within);
    }
  }
  return { inner, leaves };
}
