import type { ClassificationMetrics, SplitMetrics } from "../train/metrics.ts";
import type { Cell } from "./cell.ts";

/** What one pass over the training examples led to, measured on the validation split. */
export interface EpochMetrics extends ClassificationMetrics {
  /** Counted from 1; 0 is the state before any training. */
  epoch: number;
  /** Mean loss of the epoch's training steps; null where nothing was trained. */
  trainLoss: number | null;
  /** Mean loss over the validation examples. */
  evalLoss: number;
  /** In f16: the factor on the loss in the backward pass, as it stands after the epoch. */
  lossScale?: number;
  /** In f16: steps since the start that changed nothing, as their gradients overflowed. */
  skippedSteps?: number;
}

/** One example, scored with the weights that are kept. */
export interface Prediction {
  /** The example's name or row number in its split. */
  id: string | number;
  /** Class index. */
  label: number;
  /** Class index. */
  prediction: number;
  /** One score for each class, in class order: probabilities, or what was compared. */
  scores: readonly number[];
}

/** What a split came to. */
export interface SplitOutcome {
  /** Over all its examples. */
  metrics: SplitMetrics;
  /** One for each example, in order. */
  predictions: readonly Prediction[];
}

/** Label words of a text-to-text model; or a head drawn by the seed, or the checkpoint's own. */
export type HeadOrigin = "label_words" | "seeded" | "checkpoint";

/** Bytes on the device, as planned before a run. */
export interface PlannedBytes {
  /** In all. */
  peakBytes: number;
  /** Of the base, but for what of it trains. */
  weights: number;
  /** Of what trains. */
  trainable: number;
  /** Of gradients and the optimizer's state. */
  optimizer: number;
  /** Of the arena that all intermediates share. */
  activations: number;
  /** Of values that are computed once for each example; absent where none are. */
  kept?: number;
}

/** What a cell took. */
export interface CellTimes {
  /** Of the training steps; null where there were none. */
  msPerStep: number | null;
  /** Of the training steps; null where there were none. */
  examplesPerSecond: number | null;
  /** Of the whole cell. */
  seconds: number;
  /**
   * Cells that shared its program, itself among them: the times are its share, the same for each of
   * them whatever its method. Absent where it had programs of its own.
   */
  sharedBy?: number;
}

/** What a finished cell hands back. */
export interface CellResult {
  /** At least one entry; a method that trains nothing has one, for epoch 0. */
  epochs: readonly EpochMetrics[];
  /** The epoch of highest accuracy, the first of equals. */
  best: EpochMetrics;
  /** The last epoch. */
  last: EpochMetrics;
  /** The epoch whose weights, predictions and further splits these are. */
  kept: EpochMetrics;
  /** Whether the cell's patience ended the training before its last epoch. */
  stoppedEarly: boolean;
  /** What tells the classes apart, and where it came from. */
  head: HeadOrigin;
  /** Splits besides validation, measured once with the weights that are kept, by name. */
  splits: Readonly<Record<string, SplitOutcome>>;
  /** What computed `kept`, `predictions` and `splits`, where it is not what trained. */
  evaluatedBy?: string;
  /** Numbers of parameters, those of base and method together. */
  parameters: { total: number; trainable: number };
  /** What a reader of these numbers should know of the method on this base. */
  note?: string | null;
  /** The plan that it ran by. */
  planned: PlannedBytes & {
    /** Whether the backward pass computed the blocks' insides again. */
    recomputed: boolean;
    /**
     * Floating-point operations of all training steps as they were carried out: what is computed once
     * counts once, what is computed again, again. Absent in runs of older versions.
     */
    operations?: number;
  };
  /** Kernels that it ran on, by size class or exact sizes; see `lib/gpu/tuning.ts`. */
  kernels?: Readonly<Record<string, string>>;
  /** One for each validation example, in order. */
  predictions: readonly Prediction[];
  /** What it took; where cells shared a program, its share of the time. */
  times: CellTimes;
}

/** Where a training run stands. */
export interface StepProgress {
  /** Counted from 1. */
  epoch: number;
  /** Passes over the training examples in all. */
  epochs: number;
  /** Steps done so far, over all epochs. */
  step: number;
  /** Steps of the whole run. */
  steps: number;
  /** Latest loss that was read back. */
  loss: number;
  /** Measured over the latest steps. */
  stepsPerSecond: number;
}

/** What a running cell reports to, and listens to. */
export interface RunHooks {
  /** The run's folder, which exists: `delta.safetensors` goes here, written atomically. */
  folder: string;
  /** Called now and then while training. */
  onStep(progress: StepProgress): void;
  /** Called after each epoch's measurement. */
  onEpoch(metrics: EpochMetrics): void;
  /** Called with a sentence for the person who watches. */
  onNote?(text: string): void;
  /** Throws where another process has taken the run over: to be asked before anything is written. */
  check?(): Promise<void>;
  /**
   * After this epoch the run saves a checkpoint and ends by throwing `Paused`, unless it is over by
   * then; to its end where absent.
   */
  pauseAfter?: number;
  /** The run ends by throwing `signal.reason` soon after this aborts. */
  signal: AbortSignal;
}

/** Runs one cell. */
export type RunCell = (cell: Cell, hooks: RunHooks) => Promise<CellResult>;

/** Runs cells in one program, as far as that is possible; each leaves what {@linkcode RunCell} does. */
export interface RunPack {
  /** Cells of one program at most. */
  readonly most: number;
  /** Equal for cells that may share a program; null for one that is better alone. */
  key(cell: Cell): string | null;
  /** Runs cells of one key; each resolves, or rejects, as soon as its program has ended. */
  run(cells: readonly PackedCell[]): readonly Promise<CellResult>[];
}

/** One of the cells of a pack. */
export interface PackedCell {
  readonly cell: Cell;
  /** As {@linkcode RunCell} takes them. */
  readonly hooks: RunHooks;
}

/** The adapter that cells run on. */
export interface AdapterRecord {
  /** What the driver calls it. */
  name: string;
  /** Digest of the adapter's limits. */
  limitsDigest: string;
  /** The limits that the engine asked for, by WebGPU's names. */
  limits?: Readonly<Record<string, number>>;
  /** What the fixed probe program computes there; see `lib/train/fingerprint.ts`. */
  probe: string;
}

/** An experiment with its base and data loaded: the cells, and what runs them. */
export interface PreparedSweep {
  /** In the order of the table. */
  cells: readonly Cell[];
  /** Runs any of them. */
  runCell: RunCell;
  /** Runs several of them in one program; absent where each runs alone. */
  runPack?: RunPack;
  /** Goes into every `run.json`. */
  adapter?: AdapterRecord;
  /** Facts about base and data to print before the first cell: label mapping, duplicates, sizes. */
  notes?: readonly string[];
  /** Frees everything on the device. */
  close(): void;
}
