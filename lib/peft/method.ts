/**
 * What a fine-tuning method is: options, the sites it changes, and what of the base it trains.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { variableAttributes } from "../graph/leaves.ts";
import { countParameters, type Parameter, Scope } from "../layers/scope.ts";
import type { Site } from "../layers/site.ts";
import type { Semantics } from "./semantics.ts";

/** A method's own hyper-parameters, as a command line or an experiment gives them. */
export type MethodOptions = Record<string, number | string | boolean>;

/** The model as a method sees it: sites and parameters, never its kind. */
export interface Target {
  /** Places of the model, in the order of its forward pass. */
  readonly sites: readonly Site[];
  /** Parameters of the base. */
  readonly base: Scope;
  /** Receives the parameters that the method adds. */
  readonly delta: Scope;
  /** Token ids of a text, where the base's tokenizer is at hand. */
  readonly encode?: (text: string) => readonly number[];
}

/** Values of parameters, by name. */
export type ParameterValues = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** What {@linkcode Method.merge} works on. */
export interface MergeTarget {
  /** Sites of the base. */
  readonly sites: readonly Site[];
  /** Values of the base. */
  readonly base: ParameterValues;
  /** Values of what the method added. */
  readonly delta: ParameterValues;
}

/** A fine-tuning method. */
export interface Method {
  /** Name in experiments and command lines. */
  readonly name: string;
  /** Value of each option that is not given. */
  readonly defaults: Readonly<MethodOptions>;
  /**
   * Fills defaults in and validates.
   *
   * @throws TypeError on an unknown option or a value of the wrong type, RangeError on a bad value.
   */
  readonly parse: (options: MethodOptions) => MethodOptions;
  /** How a table names the method with these options. */
  readonly label: (options: MethodOptions) => string;
  /** Whose rules it can follow, where there are several; its option `semantics` chooses. */
  readonly semantics?: readonly Semantics[];
  /**
   * What of the base trains: everything, a classification head where there is one, that and every
   * bias, or nothing.
   */
  readonly trains: "all" | "head" | "biases" | "nothing";
  /** Whether a text-to-text model is given a classification head for this method. */
  readonly needsHead: boolean;
  /** Whether the untrained method leaves the model's output unchanged, or why it does not. */
  readonly startsAsBase: Start | ((options: MethodOptions) => Start);
  /** What a reader of its numbers on a model with these sites should know; null where nothing. */
  readonly note?: (sites: readonly Site[], options: MethodOptions) => string | null;
  /** Factor of what it adds to the base's values, where it has one; `attach` uses it. */
  readonly scaling?: (options: MethodOptions) => number;
  /** Factor on a trained parameter's learning rate; 1 unless given. */
  readonly rate?: (parameter: Parameter, options: MethodOptions) => number;
  /** How many of a model's limited positions it takes from the text; none unless given. */
  readonly positions?: (options: MethodOptions) => number;
  /**
   * Attaches transforms to sites and declares the parameters they add, under `target.delta`: those
   * that train as `trainable`; constants of the base's making as `weight`, which are not counted.
   *
   * @throws RangeError if an option names no site of the model.
   */
  readonly attach: (target: Target, options: MethodOptions) => void;
  /**
   * Values of the base's parameters with which it computes alone what it does with the delta: those
   * that change, by name. Absent where the method has no such values.
   *
   * @throws RangeError if a value is missing.
   */
  readonly merge?: (target: MergeTarget, options: MethodOptions) => Map<
    string,
    Float32Array<ArrayBuffer>
  >;
}

/** True, or why an untrained method does not leave the output unchanged. */
export type Start = true | string;

/** A method attached to a model. */
export interface Attached {
  /** Parameters that train, the base's first. */
  readonly trainable: readonly Parameter[];
  /** Parameters that the method added. */
  readonly delta: Scope;
  /** Numbers of scalars: of base and method together, and of what trains. */
  readonly counts: { readonly total: number; readonly trainable: number };
  /** Positions of the model that the method takes from the text. */
  readonly positions: number;
  /** Factors on learning rates, where they are not 1. */
  readonly rates: ReadonlyMap<Node, number>;
}

/** What {@linkcode attachMethod} needs of a model. */
export interface Attachable {
  /** Parameters and sites; the method leaves its transforms there. */
  readonly scope: Scope;
  /** Names of the classification head's parameters. */
  readonly head: readonly string[];
  /** Token ids of a text; a method whose parameters start from words needs it to start. */
  readonly encode?: (text: string) => readonly number[];
}

/**
 * Attaches a method to a freshly built model, before its forward pass is called.
 *
 * @param options As {@linkcode Method.parse} returns them.
 * @param delta Receives the parameters that the method adds; an empty one.
 * @throws RangeError if the model lacks what the method changes.
 */
export function attachMethod(
  model: Attachable,
  method: Method,
  options: MethodOptions,
  delta: Scope = new Scope(),
): Attached {
  const { scope, encode } = model;
  method.attach({ sites: scope.sites, base: scope, delta, encode }, options);
  const own = delta.select().filter(({ node }) => variableAttributes(node).role === "trainable");
  const trainable = [...trainedOfBase(model, method), ...own];
  const total = countParameters(model.scope.select()) + countParameters(own);
  const rates = trainable.map((one) => [one.node, method.rate?.(one, options) ?? 1] as const);
  return {
    trainable,
    delta,
    counts: { total, trainable: countParameters(trainable) },
    positions: method.positions?.(options) ?? 0,
    rates: new Map(rates.filter(([, rate]) => rate !== 1)),
  };
}

/**
 * Names of the variables that are f32 in any precision: what trains, and all that the method added.
 * PiSSA's constants are among these, as they cancel what trains at the start.
 */
export function fullPrecisionNames(
  { trainable, delta }: Pick<Attached, "trainable" | "delta">,
): string[] {
  return [...trainable, ...delta.select()].map(({ node }) => variableAttributes(node).name);
}

function trainedOfBase({ scope, head }: Attachable, { name, trains }: Method): Parameter[] {
  const heads = new Set(head);
  if (trains !== "biases") {
    return scope.select((one) => trains === "all" || (trains === "head" && heads.has(one)));
  }
  const isBias = (one: string) => one.endsWith(".bias") && !heads.has(one);
  if (scope.select(isBias).length === 0) {
    throw new RangeError(
      `Cannot attach ${name}: the model has no bias outside its head (T5 and Llama are published ` +
        "without); use a model that has, or another method",
    );
  }
  return scope.select((one) => isBias(one) || heads.has(one));
}
