/**
 * What the JSON of a run's folder looks like, as far as anything is made of it.
 *
 * @module
 */

import {
  any,
  flag,
  list,
  map,
  number,
  object,
  orNull,
  scalar,
  type Shape,
  size,
  text,
} from "../formats/json_shape.ts";

/** A description of a cell. */
export const cellShape: Shape = object(
  {
    version: size,
    base: object({ name: text, digest: text }),
    tokenizer: object({ digest: text }),
    data: object({
      name: text,
      digest: text,
      trainSize: orNull(size),
      splits: text,
      dedupe: flag,
      evaluate: list(text),
      columns: object({ text, label: text }),
    }),
    task: object({ head: flag, prefix: text, labelWords: list(text), labels: list(text) }),
    method: object({ name: text, options: map(scalar) }),
    settings: object({ learningRate: number, epochs: size }, {
      optimizer: text,
      scaleParameter: flag,
      batchSize: size,
      microBatch: orNull(size),
      maxLength: size,
      betas: list(number),
      eps: number,
      weightDecay: number,
      decay: text,
      clipNorm: orNull(number),
      schedule: text,
      warmup: number,
      frozenDropout: number,
      classWeights: (value, path) =>
        typeof value === "string" ? undefined : orNull(map(number))(value, path),
      patience: orNull(size),
      metric: text,
      keep: text,
    }),
    seed: size,
    precision: text,
  },
  { start: object({ name: text, digest: text }), evalBackend: text },
);

/** `run.json`. */
export const runShape: Shape = object(
  { id: text, approach: text, cell: cellShape, environment: map(any) },
  { kernels: map(text) },
);

const classFields = { precision: number, recall: number, f1: number };
const metricFields = {
  accuracy: number,
  ...classFields,
  macro: object(classFields),
  weighted: object(classFields),
  perClass: list(object({ ...classFields, support: size })),
  confusion: list(list(size)),
};

/** A line of `metrics.jsonl`. */
export const epochShape: Shape = object({
  epoch: size,
  trainLoss: orNull(number),
  evalLoss: orNull(number),
  ...metricFields,
}, { lossScale: number, skippedSteps: size });

/** `result.json`; the splits' names are parts of file names. */
export const resultShape: Shape = object({
  id: text,
  examples: size,
  best: epochShape,
  last: epochShape,
  kept: epochShape,
  stoppedEarly: flag,
  head: text,
  splits: map(object({ examples: size, loss: orNull(number), ...metricFields }), /^\w{1,50}$/),
  parameters: object({ total: size, trainable: size }),
  planned: object({ peakBytes: number }),
}, { note: orNull(text), evaluatedBy: text, kernels: text });

/** `times.json`. */
export const timesShape: Shape = object({
  msPerStep: orNull(number),
  examplesPerSecond: orNull(number),
  seconds: number,
}, { sharedBy: number, start: text, end: text });

/** `verify.json`. */
export const certificateShape: Shape = object({ verdict: text, digests: map(text) });

/** `error.json`. */
export const errorShape: Shape = object({ message: text });

/** `stopped.json`. */
export const stoppedShape: Shape = object({
  eta: size,
  rung: size,
  epoch: size,
  epochs: size,
  metric: text,
  score: number,
  dropped: orNull(object({ mean: number, rank: size, settings: size })),
});

/** `sweep.json`. */
export const sweepShape: Shape = object({
  cells: list(object({
    id: text,
    approach: text,
    method: text,
    seed: size,
    epochs: size,
    published: orNull(object({ method: text, accuracy: number }, { total: size, trainable: size })),
  })),
  notes: list(text),
}, { choose: list(text), budget: orNull(number) });

/** `local.json`. */
export const placesShape: Shape = object({ base: text }, { data: text, start: text });
