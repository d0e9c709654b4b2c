/**
 * Elementwise operations with broadcasting.
 *
 * Shapes are aligned at their last axis; an axis of size 1 is repeated.
 *
 * @module
 */

import { elementwiseDispatch } from "../graph/elementwise.ts";
import { type Node, type OnnxLowering, op, type OpFunction } from "../graph/node.ts";
import { formatShape, sameDim, sameShape, type Shape } from "../graph/shape.ts";
import { filledWith } from "./fill.ts";
import { sumTo } from "./sum.ts";

interface Map {
  /** Constants `p.c0`, …. */
  readonly constants: readonly number[];
  /** Output shape where it is larger than the inputs'. */
  readonly to?: Shape;
}

/** The shape that inputs broadcast to. @throws TypeError where they do not fit. */
export function broadcastShape(name: string, shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const dims = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)
      .filter((dim) => dim !== 1);
    const [first = 1] = dims;
    if (!dims.every((dim) => sameDim(dim, first))) {
      throw new TypeError(
        `Cannot ${name} ${shapes.map(formatShape).join(" and ")}: axis ${axis} differs`,
      );
    }
    return first;
  });
}

/**
 * Defines an elementwise operation.
 *
 * @param expression WGSL over a, b, c, d (the inputs) and p.c0, p.c1, … (the constants).
 * @param partials For each input, its gradient from the inputs, the output and the output's
 *   gradient, before it is summed over broadcast axes; null where it has none.
 * @param functions WGSL functions that the expression calls, what another calls before it.
 * @param onnx The same as ONNX nodes; absent for what only training computes.
 * @param simplify See `OpDefinition`.
 */
export function defineElementwise(
  name: string,
  expression: string,
  partials?: readonly (
    | ((
      inputs: readonly Node[],
      g: Node,
      y: Node,
      constants: readonly number[],
    ) => Node)
    | null
  )[],
  functions: readonly string[] = [],
  onnx?: OnnxLowering<Map>,
  simplify?: (node: Node, attributes: Map) => Node,
): OpFunction<Map> {
  const made = ({ constants }: Map) => ({ name, expression, functions, constants });
  return op<Map>({
    name,
    onnx,
    simplify,
    elementwise: made,
    // As the expression writes them; a function's call counts as one.
    flops: expression.match(/[-+*/]|\w+\(/g)?.length ?? 0,
    shape: (inputs, { to }) => {
      const shapes = inputs.map((input) => input.shape);
      return broadcastShape(name, to === undefined ? shapes : [...shapes, to]);
    },
    run: (y, attributes, { shape }) => [
      elementwiseDispatch(made(attributes), y.inputs, y, shape),
    ],
    backward: partials === undefined
      ? undefined
      : (y, g, needs, { constants }) =>
        y.inputs.map((input, i) => {
          const partial = partials[i];
          return needs[i] && partial !== null
            ? sumTo(partial(y.inputs, g, y, constants), input.shape)
            : null;
        }),
  });
}

const NONE: Map = { constants: [] };

/** A lowering to one ONNX operator of the same inputs; its broadcasting is ours. */
export function onnxOperator(operator: string): OnnxLowering<unknown> {
  return (graph, inputs) => graph.node(operator, inputs);
}

const addOp = defineElementwise(
  "add",
  "a + b",
  [(_, g) => g, (_, g) => g],
  undefined,
  onnxOperator("Add"),
);
const subtractOp = defineElementwise(
  "subtract",
  "a - b",
  [(_, g) => g, (_, g) => scale(g, -1)],
  undefined,
  onnxOperator("Sub"),
);
const multiplyOp = defineElementwise(
  "multiply",
  "a * b",
  [([, b], g) => multiply(g, b), ([a], g) => multiply(g, a)],
  undefined,
  onnxOperator("Mul"),
  // By one.
  (node) => {
    const [a, b] = node.inputs;
    const kept = filledWith(b) === 1 ? a : filledWith(a) === 1 ? b : node;
    return sameShape(kept.shape, node.shape) ? kept : node;
  },
);
const divideOp = defineElementwise(
  "divide",
  "a / b",
  [([, b], g) => divide(g, b), ([, b], g, y) => scale(divide(multiply(g, y), b), -1)],
  undefined,
  onnxOperator("Div"),
);
const scaleOp = defineElementwise(
  "scale",
  "a * p.c0",
  [(_, g, __, [c]) => scale(g, c)],
  undefined,
  (graph, [x], _, { constants: [c] }) => graph.node("Mul", [x, graph.floats(c)]),
  (node, { constants: [c] }) => c === 1 ? node.inputs[0] : node,
);
const sqrtOp = defineElementwise(
  "sqrt",
  "sqrt(a)",
  [(_, g, y) => scale(divide(g, y), 0.5)],
  undefined,
  onnxOperator("Sqrt"),
);
const copyOp = defineElementwise(
  "broadcast",
  "a",
  [(_, g) => g],
  undefined,
  (graph, [x], { shape }) => graph.node("Expand", [x, graph.shape(shape)]),
);

/** a + b. */
export function add(a: Node, b: Node): Node {
  return addOp([a, b], NONE);
}

/** a − b. */
export function subtract(a: Node, b: Node): Node {
  return subtractOp([a, b], NONE);
}

/** a ∘ b. */
export function multiply(a: Node, b: Node): Node {
  return multiplyOp([a, b], NONE);
}

/** The two that a node is the product of; null where it is none. */
export function factorsOf({ op, inputs }: Node): readonly Node[] | null {
  return op.name === "multiply" ? inputs : null;
}

/** a / b. */
export function divide(a: Node, b: Node): Node {
  return divideOp([a, b], NONE);
}

/** x · factor. */
export function scale(x: Node, factor: number): Node {
  return scaleOp([x], { constants: [factor] });
}

/** √x. */
export function sqrt(x: Node): Node {
  return sqrtOp([x], NONE);
}

/** `x` repeated along axes of size 1, and along new leading axes. */
export function broadcastTo(x: Node, shape: Shape): Node {
  return sameShape(x.shape, shape) ? x : copyOp([x], { constants: [], to: shape });
}

/** The one number that a node repeats, of as many elements as it likes; the node itself where it does not. */
export function unbroadcast(node: Node): Node {
  const [x] = node.inputs;
  return node.op.name === "broadcast" && x.shape.every((dim) => dim === 1) ? x : node;
}
