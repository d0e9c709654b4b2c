import {
  type ActivationSource,
  geluSource,
  geluTanhSource,
  leakyReluSource,
  reluSource,
  sigmoidSource,
  siluSource,
  tanhSource,
} from "../../kernels/activations.ts";
import type { Node } from "../graph/node.ts";
import type { OnnxBuilder, OnnxValue } from "../graph/onnx.ts";
import { defineElementwise } from "./elementwise.ts";

/** An elementwise function of one tensor. */
export type Activation = (x: Node) => Node;

/** Value and gradient as one launch each; the value also as ONNX nodes. */
function defineActivation(
  name: string,
  { value, gradient, from, functions }: ActivationSource,
  onnx: (graph: OnnxBuilder, x: OnnxValue) => OnnxValue,
): Activation {
  const gradientOp = defineElementwise(`${name}_grad`, gradient, undefined, functions);
  const valueOp = defineElementwise(
    name,
    value,
    [([x], g, y) => gradientOp([from === "input" ? x : y, g], { constants: [] })],
    functions,
    (graph, [x]) => onnx(graph, x),
  );
  return (x) => valueOp([x], { constants: [] });
}

/** max(x, 0); its gradient at 0 is 0. */
export const relu: Activation = defineActivation(
  "relu",
  reluSource,
  (graph, x) => graph.node("Relu", [x]),
);

/** x for x ≥ 0, 0.01·x below; its gradient at 0 is 1. */
export const leakyRelu: Activation = defineActivation(
  "leaky_relu",
  leakyReluSource,
  (graph, x) => graph.node("LeakyRelu", [x], { alpha: { float: 0.01 } }),
);

/** x·Φ(x), with the exact normal distribution function. */
export const gelu: Activation = defineActivation("gelu", geluSource, (graph, x) => {
  const erf = graph.node("Erf", [graph.node("Div", [x, graph.floats(Math.SQRT2)])]);
  const twice = graph.node("Mul", [x, graph.node("Add", [erf, graph.floats(1)])]);
  return graph.node("Mul", [twice, graph.floats(0.5)]);
});

/** The tanh approximation of gelu. */
export const geluTanh: Activation = defineActivation(
  "gelu_tanh",
  geluTanhSource,
  (graph, x) => {
    // In the published order, in which runtimes look for it.
    const cube = graph.node("Pow", [x, graph.floats(3)]);
    const bent = graph.node("Add", [x, graph.node("Mul", [cube, graph.floats(0.044715)])]);
    const inner = graph.node("Mul", [bent, graph.floats(Math.sqrt(2 / Math.PI))]);
    const gate = graph.node("Add", [graph.node("Tanh", [inner]), graph.floats(1)]);
    return graph.node("Mul", [graph.node("Mul", [x, graph.floats(0.5)]), gate]);
  },
);

/** x·σ(x), also called swish. */
export const silu: Activation = defineActivation(
  "silu",
  siluSource,
  (graph, x) => graph.node("Mul", [x, graph.node("Sigmoid", [x])]),
);

/** tanh(x). */
export const tanh: Activation = defineActivation(
  "tanh",
  tanhSource,
  (graph, x) => graph.node("Tanh", [x]),
);

/** 1/(1 + exp(−x)). */
export const sigmoid: Activation = defineActivation(
  "sigmoid",
  sigmoidSource,
  (graph, x) => graph.node("Sigmoid", [x]),
);

const BY_NAME: ReadonlyMap<string, Activation> = new Map([
  ["relu", relu],
  ["gelu", gelu],
  ["gelu_new", geluTanh],
  ["gelu_pytorch_tanh", geluTanh],
  ["silu", silu],
  ["swish", silu],
  ["tanh", tanh],
  ["leaky_relu", leakyRelu],
  ["leakyrelu", leakyRelu],
  ["sigmoid", sigmoid],
]);

/** The names of all activations. */
export const activationNames: readonly string[] = [...BY_NAME.keys()];

/**
 * The activation that a Hugging Face configuration names.
 *
 * @throws RangeError where the name is unknown.
 */
export function activation(name: string): Activation {
  const found = BY_NAME.get(name);
  if (found === undefined) {
    throw new RangeError(
      `Cannot find activation "${name.slice(0, 100)}"; use one of ${activationNames.join(", ")}`,
    );
  }
  return found;
}
