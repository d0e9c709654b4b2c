/**
 * What a run is given, what it tells on its way, and what it leaves.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { KernelTuner } from "../gpu/tuner.ts";
import type { MemoryPlan } from "../graph/memory.ts";
import type { Precision } from "../graph/precision.ts";
import type { Model } from "../models/model.ts";
import type { LossScaling } from "../ops/loss_scale.ts";
import type { Attached } from "../peft/method.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Execution } from "./execution.ts";
import type { WeightValues } from "./initialize.ts";
import type { TrainSettings } from "./settings.ts";
import type { Encoded, Task } from "./task.ts";

/** Everything that one run needs. */
export interface TrainRun {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly attached: Attached;
  readonly task: Task;
  readonly settings: TrainSettings;
  readonly seed: number;
  /** How weights and activations are stored; f32 unless given. */
  readonly precision?: Precision;
  /** How a run in f16 scales its loss; as PyTorch does unless given. */
  readonly lossScaling?: LossScaling;
  /** Values of the base's parameters; what is missing (a head) is drawn by the seed. */
  readonly weights: WeightValues;
  readonly train: readonly Encoded[];
  readonly validation: readonly Encoded[];
  /** Further splits, scored once with the weights that are kept. */
  readonly splits?: Readonly<Record<string, readonly Encoded[]>>;
  /** How it is carried out; the results do not depend on it. */
  readonly execution?: Execution;
  /** Measures which kernels are fastest; a rule chooses where there is none. */
  readonly tuner?: KernelTuner | null;
  readonly signal?: AbortSignal;
  readonly onSync?: (progress: SyncProgress) => void;
  /** Where the run goes on from: of the same run on the same device; from the start unless given. */
  readonly resume?: Checkpoint | null;
  /** Saves the run, as often as its execution says and when it is stopped; training waits. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  /**
   * Called with the validation scores [examples][classes] after every epoch (once, for epoch 0, where
   * nothing trains), and first of all for the epochs that a run to go on from has behind it.
   */
  readonly onEpoch?: (epoch: EpochOutcome) => EpochDecision | void;
}

/** What follows from an epoch's outcome. */
export interface EpochDecision {
  /** Keep the weights as they are now; those after the last epoch are kept where none ever are. */
  readonly keep?: boolean;
  /** Train no further. */
  readonly stop?: boolean;
  /** Save the run and leave it, to be gone on with later: it ends by throwing {@linkcode Paused}. */
  readonly pause?: boolean;
}

/** Where a run stands when the host has waited for the device. */
export interface SyncProgress {
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly stepsPerSecond: number;
}

/** What an epoch led to. */
export interface EpochOutcome {
  /** From 1; 0 where nothing trains. */
  readonly epoch: number;
  /** Loss of each of the epoch's steps. */
  readonly losses: readonly number[];
  /** Scores of each validation example, in order. */
  readonly scores: Scores;
  /** Where the loss is scaled: by how much, and how many steps so far were skipped for it. */
  readonly lossScale?: LossScale;
}

/** State of a loss scale. */
export interface LossScale {
  readonly scale: number;
  readonly skippedSteps: number;
}

/** Scores of a split, [examples][classes]. */
export type Scores = readonly (readonly number[])[];

/** What a run leaves besides its epochs. */
export interface TrainOutcome {
  readonly memory: MemoryPlan;
  /** Whether the backward pass computed the blocks' insides again. */
  readonly recomputed: boolean;
  /** Seconds of the attempts before this one, up to the checkpoint that it went on from. */
  readonly secondsBefore: number;
  /** Seconds spent in training steps, waits included, evaluation and compilation not. */
  readonly trainSeconds: number;
  /** Optimizer steps and epochs that were taken; fewer than planned where training stopped early. */
  readonly steps: number;
  readonly epochs: number;
  readonly dispatchesPerStep: number;
  /** Floating-point operations of all steps that were taken, padding included, evaluation not. */
  readonly operations: number;
  /** Kernels that its plan takes, those of a run alone; see `lib/gpu/tuning.ts`. */
  readonly kernels: Readonly<Record<string, string>>;
  /** Scores of the further splits. */
  readonly splits: Readonly<Record<string, Scores>>;
  /** Kept values of what trained, by name. */
  readonly trained: ReadonlyMap<
    string,
    { shape: readonly number[]; data: Float32Array<ArrayBuffer> }
  >;
}
