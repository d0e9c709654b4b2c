import { OPERANDS } from "../../../kernels/elementwise.ts";
import { type Node, topological } from "../node.ts";
import { sameShape } from "../shape.ts";
import { compose } from "./compose.ts";
import { elementwiseOp, epilogueOp } from "./fused_op.ts";
import { held, rewrite, type Rewritten, updatedPlaces } from "./rewrite.ts";

/** Storage bindings that every adapter grants a launch. */
const BINDINGS = 8;

/** An elementwise node with what is computed inside it, and what that is computed from. */
interface Tree {
  /** The root first. */
  readonly inner: readonly Node[];
  readonly leaves: readonly Node[];
}

/**
 * Elementwise chains in one launch: what is used once, by another elementwise function of the same
 * shape, is computed inside it; and where a chain rests on a matrix product or another operation
 * that allows it, on what is used nowhere else, it becomes the epilogue of that launch.
 *
 * Each element takes the same operations in the same order, and what lay in memory in half precision
 * is rounded as before, so results stay as they are to the bit. The place in the order of execution is that of the chain's end, or of the launch that it joins, which
 * must come after all else that the chain reads.
 */
export function fuse(program: Rewritten, keep: readonly Node[]): Rewritten {
  const { half } = program;
  const order = topological(program.roots);
  const updated = updatedPlaces(order);
  const uses = new Map<Node, number>();
  const use = (node: Node) => uses.set(node, (uses.get(node) ?? 0) + 1);
  for (const node of order) node.inputs.forEach(use);
  // Read from outside: they must be computed for themselves.
  const asked = [...program.roots, ...keep.map((node) => held(program, node))];
  for (const node of asked) use(node), use(node);

  const once = (node: Node) => uses.get(node) === 1;
  const inside = new Set<Node>();
  const trees = new Map<Node, Tree>();
  for (const root of order.toReversed()) {
    if (inside.has(root) || !isElementwise(root) || root.inputs.some(updated)) continue;
    const tree = treeOf(root, (node) => once(node) && !node.inputs.some(updated));
    trees.set(root, tree);
    for (const node of tree.inner) inside.add(node);
  }
  return rewrite(program, (node, over, now) => {
    const tree = trees.get(node);
    if (tree === undefined) return over;
    const host = hostOf(node, tree, once, half);
    const { inner, leaves } = tree;
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

function isElementwise({ op, dtype, inputs }: Node): boolean {
  return op.elementwise !== undefined && dtype === "f32" &&
    inputs.every(({ dtype }) => dtype === "f32");
}

function treeOf(root: Node, free: (node: Node) => boolean): Tree {
  const inner = [root];
  const leaves = [...new Set(root.inputs)];
  for (let i = 0; i < leaves.length;) {
    const node = leaves[i];
    const within = [...new Set([...leaves.slice(0, i), ...node.inputs, ...leaves.slice(i + 1)])];
    const fits = free(node) && isElementwise(node) && sameShape(node.shape, root.shape) &&
      within.length < Math.min(BINDINGS, OPERANDS.length + 1);
    if (!fits) i++;
    else {
      inner.push(node);
      leaves.splice(0, leaves.length, ...within);
    }
  }
  return { inner, leaves };
}

/** The leaf whose launch can take the tree in: the last one to be computed. */
function hostOf(
  root: Node,
  { leaves }: Tree,
  once: (node: Node) => boolean,
  half: ReadonlySet<Node>,
): Node | undefined {
  const computed = leaves.filter(({ op }) => op.leaf === undefined);
  const last = computed.reduce<Node | undefined>(
    (late, node) => late === undefined || node.id > late.id ? node : late,
    undefined,
  );
  if (last === undefined) return undefined;
  const fits = last.op.epilogue !== undefined && once(last) && sameShape(last.shape, root.shape) &&
    last.inputs.length + leaves.length <= BINDINGS && (half.has(last) || !half.has(root));
  return fits ? last : undefined;
}
