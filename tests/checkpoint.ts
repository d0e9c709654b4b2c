/**
 * Checkpoints in memory.
 *
 * @module
 */

import type { Model } from "../lib/models/model.ts";
import type { TensorSource } from "../lib/train/load_weights.ts";

/** What differs from a checkpoint of exactly a model's tensors. */
export interface Changes {
  /** Parameters that are not there. */
  readonly drop?: readonly string[];
  /** Tensors that are there too, or have another shape. */
  readonly add?: Readonly<Record<string, readonly number[]>>;
  /** The name in the checkpoint. */
  readonly rename?: (name: string) => string;
  /** The value of all elements of a tensor, by its name in the checkpoint; 2 unless given. */
  readonly value?: (name: string) => number;
}

/** A checkpoint of a model's tensors, changed. */
export function checkpoint(
  model: Model,
  { drop = [], add = {}, rename = (name) => name, value = () => 2 }: Changes = {},
): TensorSource {
  const shapes = new Map<string, readonly number[]>(
    model.scope.select((name) => !drop.includes(name)).map((
      { name, shape },
    ) => [rename(name), shape]),
  );
  for (const [name, shape] of Object.entries(add)) shapes.set(name, shape);
  return {
    names: () => [...shapes.keys()],
    has: (name) => shapes.has(name),
    info: (name) => ({ shape: shapes.get(name)! }),
    read: (name) =>
      Promise.resolve(
        new Float32Array(shapes.get(name)!.reduce((a, b) => a * b, 1)).fill(value(name)),
      ),
  };
}
