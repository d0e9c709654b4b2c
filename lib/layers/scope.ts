/**
 * What a model is made of: its parameters, and the sites that methods attach to.
 *
 * @module
 */

import { variable } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import { elements } from "../graph/shape.ts";
import type { Site } from "./site.ts";

/** How a parameter starts where no file gives its values. */
export type Initializer =
  | { readonly kind: "zeros" | "ones" }
  | { readonly kind: "normal"; readonly deviation: number }
  | { readonly kind: "uniform"; readonly bound: number }
  /** A copy of rows of another parameter, from `start` (wrapping around). */
  | { readonly kind: "rows"; readonly parameter: string; readonly start: number }
  /** What the host computes from the values of other parameters. */
  | {
    readonly kind: "computed";
    readonly from: readonly string[];
    readonly compute: (values: readonly Float32Array[]) => Float32Array<ArrayBuffer>;
    /** What it is, for tables. */
    readonly text: string;
  };

/** One parameter: Hugging Face's name, numeric shape, its variable, and its initial values. */
export interface Parameter {
  /** As Hugging Face's checkpoints have it. */
  readonly name: string;
  /** Row-major, outermost dimension first. */
  readonly shape: readonly number[];
  /** Its variable in the graph. */
  readonly node: Node;
  /** How it starts where no file gives its values. */
  readonly initializer: Initializer;
}

/** Collects parameters and sites while a model is built. */
export class Scope {
  readonly #prefix: string;
  /** Everything declared so far, by name and in that order. */
  readonly parameters: Map<string, Parameter> = new Map();
  /** Places that methods may change, in the order of the forward pass. */
  readonly sites: Site[] = [];

  /**
   * An empty scope.
   *
   * @param prefix Stands before the names of its variables, not of its parameters.
   */
  constructor(prefix = "") {
    this.#prefix = prefix;
  }

  /**
   * Declares a parameter.
   *
   * @param role `weight` for a base, `trainable` for what a method adds.
   * @throws TypeError if the name is taken.
   */
  parameter(
    name: string,
    shape: readonly number[],
    initializer: Initializer,
    role: "weight" | "trainable" = "weight",
  ): Node {
    if (this.parameters.has(name)) throw new TypeError(`Cannot declare parameter ${name} twice`);
    const node = variable(this.#prefix + name, shape, role);
    this.parameters.set(name, { name, shape, node, initializer });
    return node;
  }

  /** The parameters of these names, or all. */
  select(matches: (name: string) => boolean = () => true): Parameter[] {
    return [...this.parameters.values()].filter(({ name }) => matches(name));
  }
}

/** Number of scalars in some parameters. */
export function countParameters(parameters: Iterable<Parameter>): number {
  let total = 0;
  for (const { shape } of parameters) total += elements(shape);
  return total;
}
