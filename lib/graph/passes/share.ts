import { type ConstantAttributes, inputAttributes, variableAttributes } from "../leaves.ts";
import { type Node, topological } from "../node.ts";
import { rewrite, type Rewritten, updatedPlaces } from "./rewrite.ts";

/**
 * Common subexpressions: one node for all of the same operation, inputs and attributes, and one leaf
 * for all of one name.
 *
 * What is computed again on purpose stays ({@linkcode repeated}), and so does what reads or updates
 * variables that the program changes.
 */
export function share(program: Rewritten): Rewritten {
  const updated = updatedPlaces(topological(program.roots));
  const known = new Map<string, Node>();
  return rewrite(program, (_, over) => {
    const bound = over.op.inPlace || over.original !== undefined || over.inputs.some(updated);
    if (bound) return over;
    const key = keyOf(over);
    const found = known.get(key) ?? over;
    known.set(key, found);
    return found;
  });
}

function keyOf(node: Node): string {
  const { op, inputs, attributes, shape } = node;
  switch (op.leaf) {
    case "input":
      return `input ${inputAttributes(node).name}`;
    case "variable":
      return `variable ${variableAttributes(node).name}`;
    case "constant":
      return `constant ${written([shape, (attributes as ConstantAttributes).compute])}`;
    default:
      // Operations of one name are one: their modules are loaded once.
      return written([op.name, inputs.map(({ id }) => id), attributes, shape]);
  }
}

const numbers = new WeakMap<object, number>();
let count = 0;

/** Attributes as a text, equal for equal values; functions stand for themselves. */
function written(value: unknown): string {
  if (typeof value === "function") {
    const number = numbers.get(value) ?? count++;
    numbers.set(value, number);
    return `function ${number}`;
  }
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([name, own]) => `${name}:${written(own)}`).join(",")}}`;
  }
  return Object.is(value, -0)
    ? "-0"
    : typeof value === "string"
    ? JSON.stringify(value)
    : `${value}`;
}
