/**
 * Elementwise operations with broadcasting.
 *
 * Shapes are aligned at their last axis; an axis of size 1 is repeated.
 *
 * @module
 */

import {
  type Access,
  elementwise as elementwiseKernel,
  OPERANDS,
} from "../../kernels/elementwise.ts";
import { type Node, type OnnxLowering, op, type OpFunction } from "../graph/node.ts";
import {
  bindShape,
  elements,
  formatShape,
  sameDim,
  sameShape,
  type Shape,
} from "../graph/shape.ts";
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
 * Index terms of an input inside the output's flat index: neighbouring axes that the input has
 * (or lacks) together are one term.
 */
function indexTerms(shape: readonly number[], out: readonly number[]) {
  const padded = [...new Array(out.length - shape.length).fill(1), ...shape];
  const terms: { div: number; mod: number; stride: number }[] = [];
  let div = 1;
  let stride = 1;
  for (let axis = out.length - 1; axis >= 0; axis--) {
    const present = padded[axis] === out[axis];
    if (present && out[axis] > 1) {
      const last = terms[terms.length - 1];
      if (last !== undefined && last.div * last.mod === div) last.mod *= out[axis];
      else terms.push({ div, mod: out[axis], stride });
      stride *= out[axis];
    }
    div *= out[axis];
  }
  return terms;
}

/** Whether four neighbouring outputs read four neighbours of the input, or one and the same value. */
function readsByFour(terms: readonly { div: number; mod: number }[]): boolean {
  const [first] = terms;
  if (first === undefined) return true;
  return first.div === 1 ? first.mod % 4 === 0 : terms.every(({ div }) => div % 4 === 0);
}

/**
 * Defines an elementwise operation.
 *
 * @param expression WGSL over a, b, c, d (the inputs) and p.c0, p.c1, … (the constants).
 * @param partials For each input, its gradient from the inputs, the output and the output's
 *   gradient, before it is summed over broadcast axes; null where it has none.
 * @param functions WGSL functions that the expression calls.
 * @param onnx The same as ONNX nodes; absent for what only training computes.
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
  functions?: string,
  onnx?: OnnxLowering<Map>,
): OpFunction<Map> {
  return op<Map>({
    name,
    onnx,
    // As the expression writes them; a function's call counts as one.
    flops: expression.match(/[-+*/]|\w+\(/g)?.length ?? 0,
    shape: (inputs, { to }) => {
      const shapes = inputs.map((input) => input.shape);
      return broadcastShape(name, to === undefined ? shapes : [...shapes, to]);
    },
    run: (y, { constants }, { shape, sizes }) => {
      const out = bindShape(y.shape, sizes);
      const n = elements(out);
      const params: Record<string, number> = { n };
      constants.forEach((value, i) => params[`c${i}`] = value);
      const terms = y.inputs.map((input) =>
        sameShape(input.shape, y.shape) ? null : indexTerms(shape(input), out)
      );
      const width = n % 4 === 0 && terms.every((list) => list === null || readsByFour(list))
        ? 4
        : 1;
      const access = terms.map((list, i): Access => {
        list?.forEach(({ div, mod, stride }, t) => {
          params[`${OPERANDS[i]}${t}_div`] = div;
          params[`${OPERANDS[i]}${t}_mod`] = mod;
          params[`${OPERANDS[i]}${t}_stride`] = stride;
        });
        if (list === null) return { kind: "same", terms: 0 };
        return { kind: list[0]?.div === 1 ? "vector" : "splat", terms: list.length };
      });
      const bind = Object.fromEntries(y.inputs.map((x, i) => [`x_${OPERANDS[i]}`, x]));
      return [{
        kernel: elementwiseKernel(name, expression, access, constants.length, width, functions),
        bind: { ...bind, y },
        params,
      }];
    },
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
