/**
 * What writers of files need of a trained model.
 *
 * @module
 */

import type { BaseFacts, DeltaMethod, TrainedDelta } from "../formats/delta.ts";
import type { Tensor } from "../formats/safetensors.ts";
import type { Parameter } from "../layers/scope.ts";
import type { RawConfig } from "../models/config.ts";
import type { Model } from "../models/model.ts";
import type { Attached, Method, MethodOptions } from "../peft/method.ts";
import type { WeightValues } from "./initialize.ts";

/** A method on a model, with values. */
export interface Trained {
  readonly model: Model;
  readonly method: Method;
  readonly options: MethodOptions;
  readonly attached: Attached;
  /** Values of every parameter of model and method. */
  readonly values: WeightValues;
}

/** Values of some parameters as tensors, in the order given. */
export function tensorsOf(
  parameters: readonly Parameter[],
  values: WeightValues,
): Map<string, Tensor> {
  return new Map(
    parameters.map(({ name, shape }) => [name, { shape, data: values.get(name)! }]),
  );
}

/** What a method trained and added, its constants among them. */
export function trainedDelta(
  { method, options, attached, values }: Trained,
): TrainedDelta {
  const added = attached.delta.select();
  const own = new Set(added);
  const ofBase = attached.trainable.filter((one) => !own.has(one));
  return {
    method: method.name as DeltaMethod["method"],
    options,
    tensors: tensorsOf([...added, ...ofBase], values),
  };
}

/** The same without the constants that the method makes of the base. */
export function trainedAlone(trained: Trained): TrainedDelta {
  return {
    ...trainedDelta(trained),
    tensors: tensorsOf(trained.attached.trainable, trained.values),
  };
}

/**
 * What files say of a base.
 *
 * @param name Its id on the Hub, or a folder's name.
 * @param labels Names of the classes.
 */
export function baseFacts(
  name: string,
  config: RawConfig,
  { scope, head, textToText }: Model,
  labels: readonly string[],
): BaseFacts {
  return {
    name,
    config,
    textToText: textToText !== undefined,
    linear: scope.sites.flatMap((site) => site.kind === "linear" ? [site.path] : []),
    head,
    labels,
  };
}
