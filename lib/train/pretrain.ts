/**
 * Pretraining of a small text-to-text model by span corruption.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Session, type Values } from "../gpu/session.ts";
import { input } from "../graph/leaves.ts";
import { symbol } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import { backwardRoots } from "./backward.ts";
import { randomWeights } from "./initialize.ts";
import { buildUpdate } from "./optimizer.ts";
import { IGNORED, meanLoss } from "./task.ts";

/** One pair of a text-to-text task, as ids with their end-of-sequence token. */
export interface Pair {
  readonly input: readonly number[];
  readonly target: readonly number[];
}

/** How a base is pretrained. */
export interface PretrainSettings {
  readonly seed: number;
  /** Steps of the learning-rate schedule. */
  readonly steps: number;
  readonly batchSize: number;
  /** Peak learning rate, falling linearly to 0 after the warm-up. */
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** Padded lengths; longer pairs are an error. */
  readonly inputLength: number;
  readonly targetLength: number;
}

/** What a pretraining run needs. */
export interface Pretraining {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly settings: PretrainSettings;
  /** The pairs of a step's batch; a function of the step alone, so that steps can be redone. */
  readonly batch: (step: number) => readonly Pair[];
  /** Stop after so many steps of the schedule; all unless given. */
  readonly stopAfter?: number;
  readonly onLosses?: (losses: readonly number[], done: number) => void;
}

/** Steps between two readbacks of losses. */
const SYNC_STEPS = 50;

/**
 * Pretrains from the seed's initial values.
 *
 * @returns Values of all parameters by name, and the loss of every step.
 */
export async function pretrain(
  { gpu, model, settings, batch, stopAfter = settings.steps, onLosses }: Pretraining,
): Promise<{ values: Map<string, Float32Array<ArrayBuffer>>; losses: number[] }> {
  const session = new Session(gpu);
  try {
    const [B, T, D] = ["B", "T", "D"].map(symbol);
    const logits = model.textToText!.logits({
      ids: input("ids", [B, T], "u32"),
      mask: input("mask", [B, T], "f32"),
      decoderIds: input("decoder_ids", [B, D], "u32"),
    }, {});
    const loss = meanLoss(logits, input("labels", [B, D], "i32"));
    const parameters = model.scope.select();
    const update = buildUpdate({
      ...settings,
      parameters: parameters.map(({ node }) => node),
      schedule: "linear",
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      decay: "matrices",
      clipNorm: 1,
    });
    const sizes = { B: settings.batchSize, T: settings.inputLength, D: settings.targetLength };
    const program = session.program(backwardRoots(loss, update), sizes);
    const updating = session.program(update.roots, {});
    await session.build();
    for (const [name, values] of randomWeights(parameters, settings.seed)) {
      session.upload(name, values);
    }
    for (const [name, values] of update.initial) session.upload(name, values);

    const losses: number[] = [];
    for (let step = 0; step < stopAfter; step++) {
      session.write(program, pairInputs(model, settings, batch(step)));
      session.run([program, updating]);
      if ((step + 1) % SYNC_STEPS === 0 || step + 1 === stopAfter) {
        const kept = (await session.readVariables(["losses"])).get("losses")!;
        const fresh = Array.from(
          { length: step + 1 - losses.length },
          (_, i) => kept[(losses.length + i) % kept.length],
        );
        losses.push(...fresh);
        onLosses?.(fresh, step + 1);
      }
    }
    return { values: await session.readVariables(parameters.map(({ name }) => name)), losses };
  } finally {
    session.destroy();
  }
}

/** Padded inputs of a batch of pairs. */
function pairInputs(
  { textToText }: Model,
  { batchSize, inputLength, targetLength }: PretrainSettings,
  pairs: readonly Pair[],
): Record<string, Values> {
  const { startId, padId } = textToText!;
  const ids = new Uint32Array(batchSize * inputLength).fill(padId);
  const mask = new Float32Array(batchSize * inputLength);
  const decoderIds = new Uint32Array(batchSize * targetLength).fill(padId);
  const labels = new Int32Array(batchSize * targetLength).fill(IGNORED);
  let count = 0;
  pairs.forEach(({ input, target }, row) => {
    if (input.length > inputLength || target.length > targetLength) {
      throw new RangeError(
        `Cannot pretrain on a pair of ${input.length} and ${target.length} tokens: inputs have ${inputLength}, targets ${targetLength}`,
      );
    }
    ids.set(input, row * inputLength);
    mask.fill(1, row * inputLength, row * inputLength + input.length);
    labels.set(target, row * targetLength);
    decoderIds.set([startId, ...target.slice(0, -1)], row * targetLength);
    count += target.length;
  });
  return {
    ids,
    mask,
    decoder_ids: decoderIds,
    labels,
    inverse_count: Float32Array.of(1 / count),
  };
}
