import {
  type Elementwise,
  elementwiseFunction,
  OPERANDS,
  ROUND_HALF,
} from "../../../kernels/elementwise.ts";
import type { Node } from "../node.ts";

/**
 * Elementwise nodes as one function.
 *
 * @param root What it computes.
 * @param inner The nodes that it is made of, the root among them.
 * @param leaves What it is computed from, as its operands in order.
 * @param half Nodes that lie in memory in half precision: rounded so where they do not get there.
 * @param host The leaf that does not.
 */
export function compose(
  root: Node,
  inner: readonly Node[],
  leaves: readonly Node[],
  half: ReadonlySet<Node>,
  host?: Node,
): Elementwise {
  const within = new Set(inner);
  const functions: string[] = [];
  const constants: number[] = [];
  const names: string[] = [];
  const once = (text: string) => {
    if (!functions.includes(text)) functions.push(text);
  };
  const write = (node: Node): string => {
    if (!within.has(node)) return OPERANDS[leaves.indexOf(node)];
    const values = node.inputs.map((one) => {
      const rounded = half.has(one) && (within.has(one) || one === host);
      if (rounded) once(ROUND_HALF);
      return rounded ? `round_half(${write(one)})` : write(one);
    });
    const own = node.op.elementwise!(node);
    // Each has its own constants.
    const first = constants.length;
    const expression = own.expression.replace(
      /\bp\.c(\d+)/g,
      (_, i: string) => `p.c${first + Number(i)}`,
    );
    constants.push(...own.constants);
    const name = `one_${own.name}${own.constants.length > 0 ? `_${first}` : ""}`;
    names.push(own.name);
    own.functions.forEach(once);
    once(elementwiseFunction(name, { expression, functions: [] }, values.length));
    return `${name}(${values.join(", ")})`;
  };
  const expression = write(root);
  return { name: names.join("+"), expression, functions, constants };
}
