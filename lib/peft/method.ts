/**
 * What a fine-tuning method is: options, the sites it changes, and what of the base it trains.
 *
 * @module
 */

import { countParameters, type Parameter, Scope } from "../layers/scope.ts";
import type { Site } from "../layers/site.ts";

/** A method's own hyper-parameters, as a command line or an experiment gives them. */
export type MethodOptions = Record<string, number | string | boolean>;

/** The model as a method sees it: sites and parameters, never its kind. */
export interface Target {
  readonly sites: readonly Site[];
  readonly base: Scope;
  /** Receives the parameters that the method adds. */
  readonly delta: Scope;
}

/** A fine-tuning method. */
export interface Method {
  readonly name: string;
  readonly defaults: Readonly<MethodOptions>;
  /**
   * Fills defaults in and validates.
   *
   * @throws TypeError on an unknown option or a value of the wrong type, RangeError on a bad value.
   */
  readonly parse: (options: MethodOptions) => MethodOptions;
  /** How a table names the method with these options. */
  readonly label: (options: MethodOptions) => string;
  /** What of the base trains: everything, a classification head where there is one, or nothing. */
  readonly trains: "all" | "head" | "nothing";
  /** Whether a text-to-text model is given a classification head for this method. */
  readonly needsHead: boolean;
  /** Whether the untrained method leaves the model's output unchanged, or why it does not. */
  readonly startsAsBase: true | string;
  /** How many of a model's limited positions it takes from the text; none unless given. */
  readonly positions?: (options: MethodOptions) => number;
  /**
   * Attaches transforms to sites and declares the parameters they add, under `target.delta`.
   *
   * @throws RangeError if an option names no site of the model.
   */
  readonly attach: (target: Target, options: MethodOptions) => void;
}

/** A method attached to a model. */
export interface Attached {
  /** Parameters that train, the base's first. */
  readonly trainable: readonly Parameter[];
  /** Parameters that the method added. */
  readonly delta: Scope;
  readonly counts: { readonly total: number; readonly trainable: number };
  /** Positions of the model that the method takes from the text. */
  readonly positions: number;
}

/** What {@linkcode attachMethod} needs of a model. */
export interface Attachable {
  readonly scope: Scope;
  /** Names of the classification head's parameters. */
  readonly head: readonly string[];
}

/**
 * Attaches a method to a freshly built model, before its forward pass is called.
 *
 * @param options As {@linkcode Method.parse} returns them.
 */
export function attachMethod(
  model: Attachable,
  method: Method,
  options: MethodOptions,
): Attached {
  const delta = new Scope();
  method.attach({ sites: model.scope.sites, base: model.scope, delta }, options);
  const head = new Set(model.head);
  const base = model.scope.select((name) =>
    method.trains === "all" || (method.trains === "head" && head.has(name))
  );
  const trainable = [...base, ...delta.select()];
  const total = countParameters(model.scope.select()) + countParameters(delta.select());
  return {
    trainable,
    delta,
    counts: { total, trainable: countParameters(trainable) },
    positions: method.positions?.(options) ?? 0,
  };
}
