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
import { defineElementwise } from "./elementwise.ts";

/** An elementwise function of one tensor. */
export type Activation = (x: Node) => Node;

/** Value and gradient as one launch each. */
function defineActivation(
  name: string,
  { value, gradient, from, functions }: ActivationSource,
): Activation {
  const gradientOp = defineElementwise(`${name}_grad`, gradient, undefined, functions);
  const valueOp = defineElementwise(
    name,
    value,
    [([x], g, y) => gradientOp([from === "input" ? x : y, g], { constants: [] })],
    functions,
  );
  return (x) => valueOp([x], { constants: [] });
}

/** max(x, 0); its gradient at 0 is 0. */
export const relu: Activation = defineActivation("relu", reluSource);

/** x for x ≥ 0, 0.01·x below; its gradient at 0 is 1. */
export const leakyRelu: Activation = defineActivation("leaky_relu", leakyReluSource);

/** x·Φ(x), with the exact normal distribution function. */
export const gelu: Activation = defineActivation("gelu", geluSource);

/** The tanh approximation of gelu. */
export const geluTanh: Activation = defineActivation("gelu_tanh", geluTanhSource);

/** x·σ(x), also called swish. */
export const silu: Activation = defineActivation("silu", siluSource);

/** tanh(x). */
export const tanh: Activation = defineActivation("tanh", tanhSource);

/** 1/(1 + exp(−x)). */
export const sigmoid: Activation = defineActivation("sigmoid", sigmoidSource);

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
      `Cannot find activation "${name}"; use one of ${activationNames.join(", ")}`,
    );
  }
  return found;
}
