/**
 * Leaves of a graph: inputs that change with every step, and variables that persist.
 *
 * @module
 */

import { type DType, type Node, op } from "./node.ts";
import type { OnnxBuilder, OnnxValue } from "./onnx.ts";
import { formatShape, type Shape } from "./shape.ts";

/** Values of an input that follow from another input; computed by the host when that is written. */
export interface Derivation {
  readonly from: string;
  readonly compute: (values: Uint32Array) => Uint32Array<ArrayBuffer>;
}

/** Attributes of an input. */
export interface InputAttributes {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly derivation?: Derivation;
}

/** What a variable is for; accounting sums bytes by role. */
export type Role = "weight" | "trainable" | "gradient" | "optimizer" | "control" | "kept";

/** Attributes of a variable. */
export interface VariableAttributes {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly role: Role;
}

/** Values of a constant, from its bound shape. */
export type ConstantValues = (
  shape: readonly number[],
) => Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Attributes of a constant. */
export interface ConstantAttributes {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly compute: ConstantValues;
  /** Absent where the shape is of numbers: the values themselves are lowered. */
  readonly onnx?: ConstantFormula;
}

/** A constant's values in ONNX, for any sizes of a batch. */
export type ConstantFormula = (graph: OnnxBuilder) => OnnxValue;

const inputOp = op<InputAttributes>({
  name: "input",
  leaf: "input",
  shape: (_, { shape }) => shape,
  dtype: (_, { dtype }) => dtype,
  run: () => [],
});

const variableOp = op<VariableAttributes>({
  name: "variable",
  leaf: "variable",
  shape: (_, { name, shape }) => {
    if (shape.some((dim) => !Number.isInteger(dim) || dim < 1)) {
      throw new RangeError(`Cannot make variable ${name} of shape ${formatShape(shape)}`);
    }
    return shape;
  },
  dtype: (_, { dtype }) => dtype,
  run: () => [],
});

const constantOp = op<ConstantAttributes>({
  name: "constant",
  leaf: "constant",
  shape: (_, { shape }) => shape,
  dtype: (_, { dtype }) => dtype,
  run: () => [],
});

/**
 * A constant: a table that the host computes once per program, in its own precision.
 *
 * @param onnx The same as ONNX nodes; for a table whose size depends on that of a batch.
 */
export function constant(
  shape: Shape,
  dtype: DType,
  compute: ConstantValues,
  onnx?: ConstantFormula,
): Node {
  return constantOp([], { shape, dtype, compute, onnx });
}

/** Attributes of a node known to be a constant. */
export function constantAttributes(node: Node): ConstantAttributes {
  return node.attributes as ConstantAttributes;
}

/** An input: written by the host before each run, identified by its name. */
export function input(name: string, shape: Shape, dtype: DType, derivation?: Derivation): Node {
  return inputOp([], { name, shape, dtype, derivation });
}

/**
 * A variable: a buffer that outlives programs and is shared by all of a session, by its name.
 *
 * Many cells in one program share frozen variables; what trains is each cell's own, under a name of
 * its own.
 */
export function variable(
  name: string,
  shape: readonly number[],
  role: Role,
  dtype: DType = "f32",
): Node {
  return variableOp([], { name, shape, dtype, role });
}

/** Attributes of a node known to be an input. */
export function inputAttributes(node: Node): InputAttributes {
  return node.attributes as InputAttributes;
}

/** Attributes of a node known to be a variable. */
export function variableAttributes(node: Node): VariableAttributes {
  return node.attributes as VariableAttributes;
}
