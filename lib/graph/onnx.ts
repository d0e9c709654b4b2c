/**
 * A graph in ONNX's terms, and what an operation writes its lowering with.
 *
 * @module
 */

import type { Affine, Dim, Shape } from "./shape.ts";

/** The name of a value in an ONNX graph: an input, a stored tensor, or a node's output. */
export type OnnxValue = string;

/** An attribute of an ONNX node: whole numbers, a text, or {@linkcode OnnxFloat}. */
export type OnnxAttribute = number | readonly number[] | string | OnnxFloat;

/** An attribute that ONNX reads as a float. */
export interface OnnxFloat {
  /** The number. */
  readonly float: number;
}

/** Attributes of an ONNX node, by name. */
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

/** Element types of ONNX that lowerings use; every integer of a graph is an int64 there. */
export type OnnxType = "float" | "double" | "int64" | "bool";

/** Values of a tensor, row-major. */
export type OnnxData = Float32Array | Float64Array | BigInt64Array;

/** One node: an operator of the standard set on values, with one output. */
export interface OnnxNode {
  /** Name of the operator. */
  readonly operator: string;
  /** What it reads, in the operator's order. */
  readonly inputs: readonly OnnxValue[];
  /** The value that it computes. */
  readonly output: OnnxValue;
  /** Its attributes. */
  readonly attributes: OnnxAttributes;
}

/** An input or output of the whole graph; its symbols become dynamic axes. */
export interface OnnxPort {
  /** Its name, for whoever runs the graph. */
  readonly name: string;
  /** Type of its elements. */
  readonly type: OnnxType;
  /** Its dimensions. */
  readonly shape: Shape;
}

/** A tensor that the graph brings along. */
export interface OnnxConstant {
  /** The value that it is. */
  readonly name: OnnxValue;
  /** Type of its elements. */
  readonly type: OnnxType;
  /** Its dimensions; none of a scalar. */
  readonly shape: readonly number[];
  /** Its elements. */
  readonly data: OnnxData;
}

/** A parameter: f32, its values known to whoever writes the file. */
export interface OnnxParameter {
  /** Name of the parameter, and of its value. */
  readonly name: OnnxValue;
  /** Its dimensions. */
  readonly shape: readonly number[];
}

/** A whole graph. */
export interface OnnxGraph {
  /** Version of the standard operator set. */
  readonly opset: number;
  /** What it is given. */
  readonly inputs: readonly OnnxPort[];
  /** What it gives. */
  readonly outputs: readonly OnnxPort[];
  /** In an order in which they can be computed. */
  readonly nodes: readonly OnnxNode[];
  /** Tensors that it brings along. */
  readonly constants: readonly OnnxConstant[];
  /** Tensors whose values are told apart, each once. */
  readonly parameters: readonly OnnxParameter[];
}

/**
 * The operator set that graphs are lowered to: the first with LayerNormalization, so that files run
 * on every ONNX Runtime from 1.12 (2022) on.
 */
export const ONNX_OPSET = 17;

/** What a lowering adds to. Equal nodes and constants are added once. */
export interface OnnxBuilder {
  /** Adds a node of an operator with one output. */
  node(
    operator: string,
    inputs: readonly OnnxValue[],
    attributes?: OnnxAttributes,
  ): OnnxValue;
  /** A float tensor; a scalar where a number is given. */
  floats(values: number | readonly number[], shape?: readonly number[]): OnnxValue;
  /** A double tensor, for tables that need it on the way. */
  doubles(values: number | readonly number[], shape?: readonly number[]): OnnxValue;
  /** An int64 tensor; a scalar where a number is given. */
  ints(values: number | readonly number[], shape?: readonly number[]): OnnxValue;
  /** A dimension as int64 [1]. */
  dim(dim: Dim): OnnxValue;
  /** A shape as int64 [rank]. */
  shape(shape: Shape): OnnxValue;
  /** `start`, `start + 1`, …: int64 [length]. */
  range(start: number, length: Dim): OnnxValue;
  /** A value as another type. */
  cast(value: OnnxValue, type: OnnxType): OnnxValue;
}

/** TensorProto.DataType of each type (onnx.proto). */
export const ONNX_TYPES: Readonly<Record<OnnxType, number>> = {
  float: 1,
  int64: 7,
  bool: 9,
  double: 11,
};

/** Collects a graph. */
export class OnnxGraphBuilder implements OnnxBuilder {
  /** Nodes so far. */
  readonly nodes: OnnxNode[] = [];
  /** Constants so far. */
  readonly constants: OnnxConstant[] = [];
  readonly #known = new Map<string, OnnxValue>();
  readonly #inputs: readonly OnnxPort[];

  /**
   * Starts an empty graph.
   *
   * @param inputs Inputs of the graph, from which symbols get their numbers.
   */
  constructor(inputs: readonly OnnxPort[]) {
    this.#inputs = inputs;
  }

  /** See {@linkcode OnnxBuilder.node}. */
  node(
    operator: string,
    inputs: readonly OnnxValue[],
    attributes: OnnxAttributes = {},
  ): OnnxValue {
    return this.#once(JSON.stringify([operator, inputs, attributes]), () => {
      const output = `/${operator}_${this.nodes.length}`;
      this.nodes.push({ operator, inputs, output, attributes });
      return output;
    });
  }

  /** See {@linkcode OnnxBuilder.floats}. */
  floats(values: number | readonly number[], shape?: readonly number[]): OnnxValue {
    return this.#constant("float", values, shape, (list) => Float32Array.from(list));
  }

  /** See {@linkcode OnnxBuilder.doubles}. */
  doubles(values: number | readonly number[], shape?: readonly number[]): OnnxValue {
    return this.#constant("double", values, shape, (list) => Float64Array.from(list));
  }

  /** See {@linkcode OnnxBuilder.ints}. */
  ints(values: number | readonly number[], shape?: readonly number[]): OnnxValue {
    return this.#constant("int64", values, shape, (list) => BigInt64Array.from(list, BigInt));
  }

  /** See {@linkcode OnnxBuilder.dim}. */
  dim(dim: Dim): OnnxValue {
    if (typeof dim === "number") return this.ints([dim]);
    const size = this.#symbol(dim);
    return dim.plus === 0 ? size : this.node("Add", [size, this.ints([dim.plus])]);
  }

  /** See {@linkcode OnnxBuilder.shape}. */
  shape(shape: Shape): OnnxValue {
    const numbers = shape.filter((dim) => typeof dim === "number");
    if (numbers.length === shape.length) return this.ints(numbers);
    return this.node("Concat", shape.map((dim) => this.dim(dim)), { axis: 0 });
  }

  /** See {@linkcode OnnxBuilder.range}. */
  range(start: number, length: Dim): OnnxValue {
    const end = typeof length === "number" ? this.ints(start + length) : this.node("Squeeze", [
      this.dim({ symbol: length.symbol, plus: length.plus + start }),
      this.ints([0]),
    ]);
    return this.node("Range", [this.ints(start), end, this.ints(1)]);
  }

  /** See {@linkcode OnnxBuilder.cast}. */
  cast(value: OnnxValue, type: OnnxType): OnnxValue {
    return this.node("Cast", [value], { to: ONNX_TYPES[type] });
  }

  #symbol({ symbol }: Affine): OnnxValue {
    for (const { name, shape } of this.#inputs) {
      const axis = shape.findIndex((dim) =>
        typeof dim !== "number" && dim.symbol === symbol && dim.plus === 0
      );
      if (axis >= 0) return this.node("Shape", [name], { start: axis, end: axis + 1 });
    }
    throw new TypeError(`Cannot lower to ONNX: no input has an axis ${symbol}`);
  }

  #constant(
    type: OnnxType,
    values: number | readonly number[],
    shape: readonly number[] | undefined,
    make: (values: readonly number[]) => OnnxData,
  ): OnnxValue {
    const list = typeof values === "number" ? [values] : values;
    const dims = shape ?? (typeof values === "number" ? [] : [list.length]);
    return this.#once(JSON.stringify([type, dims, list]), () => {
      const name = `/constant_${this.constants.length}`;
      this.constants.push({ name, type, shape: dims, data: make(list) });
      return name;
    });
  }

  #once(key: string, make: () => OnnxValue): OnnxValue {
    const known = this.#known.get(key) ?? make();
    this.#known.set(key, known);
    return known;
  }
}
