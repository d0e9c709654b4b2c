/**
 * Whole training steps to measure: a model, a method and a batch, built from seeded random weights as
 * a run of the trainer builds them.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import type { Program } from "../lib/gpu/program.ts";
import { Session, type Values } from "../lib/gpu/session.ts";
import { operationsOf } from "../lib/graph/operations.ts";
import { type Precision, storagePolicy } from "../lib/graph/precision.ts";
import { buildModel } from "../lib/models/index.ts";
import { knownConfigs } from "../lib/models/known_configs.ts";
import type { RawConfig } from "../lib/models/config.ts";
import type { Model } from "../lib/models/model.ts";
import { defaultLossScaling } from "../lib/ops/loss_scale.ts";
import { methods } from "../lib/peft/index.ts";
import {
  type Attached,
  attachMethod,
  fullPrecisionNames,
  type MethodOptions,
} from "../lib/peft/method.ts";
import { backwardRoots } from "../lib/train/backward.ts";
import { initialValues, randomWeights } from "../lib/train/initialize.ts";
import { buildUpdate } from "../lib/train/optimizer.ts";
import { type Encoded, makeTask } from "../lib/train/task.ts";

/** A training step, described. */
export interface Workload {
  readonly name: string;
  /** A `config.json`. */
  readonly config: RawConfig;
  readonly method: string;
  readonly options: MethodOptions;
  /** Examples of a batch, and tokens of each. */
  readonly batch: number;
  readonly length: number;
  readonly precision: Precision;
}

const T5_TINY_CONFIG: RawConfig = {
  ...knownConfigs["t5-small"],
  ...{ d_ff: 512, d_model: 128, num_decoder_layers: 2, num_heads: 2, num_layers: 2 },
};

const LLAMA_TINY: RawConfig = {
  ...knownConfigs["Llama-3.2-1B"],
  ...{ head_dim: 64, hidden_size: 128, intermediate_size: 512, num_attention_heads: 2 },
  ...{ num_hidden_layers: 2, num_key_value_heads: 2, vocab_size: 30522 },
};

const f32 = { options: {}, precision: "f32" } as const;

/** BERT-tiny, everything trained: 16 × 32 tokens. */
export const BERT_TINY: Workload = {
  ...f32,
  ...{ name: "BERT-tiny full", config: knownConfigs["bert-tiny"], method: "full" },
  ...{ batch: 16, length: 32 },
};

/** T5-small with LoRA of rank 8 as PEFT attaches it (query and value): 32 × 64 tokens. */
export const T5_SMALL: Workload = {
  ...{ name: "T5-small LoRA", config: knownConfigs["t5-small"], method: "lora" },
  ...{ options: { rank: 8, alpha: 16, semantics: "peft" }, precision: "f32" },
  ...{ batch: 32, length: 64 },
};

/** The same with two layers of BERT-tiny's width: 16 × 32 tokens. */
export const T5_TINY: Workload = {
  ...T5_SMALL,
  ...{ name: "T5-tiny LoRA", config: T5_TINY_CONFIG, batch: 16, length: 32 },
};

/** All steps that are measured; the large one last. */
export const WORKLOADS: readonly Workload[] = [
  BERT_TINY,
  { ...BERT_TINY, name: "BERT-tiny LoRA", method: "lora" },
  { ...BERT_TINY, name: "T5-tiny full", config: T5_TINY_CONFIG },
  T5_TINY,
  { ...BERT_TINY, name: "Llama-tiny LoRA", config: LLAMA_TINY, method: "lora" },
  T5_SMALL,
  { ...T5_SMALL, name: "T5-small LoRA f16", precision: "f16" },
];

/** A step that is ready to run. */
export interface TrainingStep {
  readonly session: Session;
  /** The forward pass alone, to the loss. */
  readonly forward: Program;
  /** Forward and backward pass. */
  readonly training: Program;
  readonly updating: Program;
  /** What a step writes before it runs. */
  readonly inputs: Readonly<Record<string, Values>>;
  /** Floating-point operations of a step. */
  readonly operations: number;
  /** Writes the inputs, records and submits whole steps. */
  readonly submit: (count: number) => void;
}

/** A parameter's shape and first values. */
export interface Parameter {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** A model with its method attached. */
export interface BuiltModel {
  readonly model: Model;
  readonly attached: Attached;
}

/** Builds a workload's model and attaches its method. */
export function modelOf({ config, method: name, options }: Workload): BuiltModel {
  const model = buildModel(config, { classes: 2, head: false });
  const method = methods[name];
  return { model, attached: attachMethod(model, method, method.parse({ ...options })) };
}

/** All parameters as they start, by seed 0. */
export function startOf({ model, attached }: BuiltModel): Map<string, Parameter> {
  const own = model.scope.select();
  const weights = randomWeights(own, 0);
  const start = new Map<string, Parameter>(
    own.map(({ name, shape }) => [name, { shape, data: weights.get(name)! }]),
  );
  for (const one of attached.delta.select()) {
    start.set(one.name, { shape: one.shape, data: initialValues(one, 0, weights) });
  }
  return start;
}

/** Learning rate of every step, constant. */
export const LEARNING_RATE = 1e-4;
/** AdamW's numbers in all engines: those of PyTorch, decay on everything. */
export const ADAMW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
/** Steps with corrections of their own for AdamW's moments; they hardly change any more behind. */
const SCHEDULED = 4096;
/** Label words of a text-to-text model. */
export const LABEL_WORDS = { words: ["negative", "positive"], ids: [[5], [6]] };

/** The batch: fixed ids over the whole vocabulary, labels 0 and 1 in turn, nothing padded. */
export function batchOf({ batch, length, config }: Workload): Encoded[] {
  const vocabulary = Number(config.vocab_size);
  return Array.from({ length: batch }, (_, row) => ({
    ids: Array.from({ length }, (_, t) => 7 + (row * 577 + t * 31) % (vocabulary - 7)),
    label: row % 2,
  }));
}

/**
 * Builds a step and fills its weights by seed 0.
 *
 * @param clipNorm Largest gradient norm; null leaves gradients as they are.
 */
export async function openStep(
  gpu: Gpu,
  workload: Workload,
  clipNorm: number | null = 1,
): Promise<TrainingStep> {
  const { batch: B, length: T, precision } = workload;
  const built = modelOf(workload);
  const { model, attached } = built;
  const task = makeTask(model, 0, model.textToText === undefined ? null : LABEL_WORDS);
  const session = new Session(gpu, storagePolicy(precision, fullPrecisionNames(attached)));
  try {
    const loss = task.loss({});
    const update = buildUpdate({
      parameters: attached.trainable.map(({ node }) => node),
      ...{ steps: SCHEDULED, schedule: "constant", warmupSteps: 0, learningRate: LEARNING_RATE },
      ...ADAMW,
      ...{ decay: "all", clipNorm },
      lossScaling: precision === "f16" ? defaultLossScaling : null,
    });
    const forward = session.program([loss], { B, T });
    const training = session.program(backwardRoots(loss, update), { B, T });
    const updating = session.program(update.roots, {});
    await session.build();
    for (const [name, { data }] of startOf(built)) session.upload(name, data);
    for (const [name, values] of update.initial) session.upload(name, values);
    const examples = batchOf(workload);
    const rows = { examples, indices: examples.map((_, i) => i), size: B, length: T };
    const inputs = task.trainingInputs(rows);
    const submit = (count: number) => {
      for (let i = 0; i < count; i++) {
        session.write(training, inputs);
        session.run([training, updating]);
      }
    };
    const operations = operationsOf(training.plan.order, training.sizes) +
      operationsOf(updating.plan.order, updating.sizes);
    return { session, forward, training, updating, inputs, operations, submit };
  } catch (error) {
    session.destroy();
    throw error;
  }
}

/** Labels as a text-to-text model's targets, for other engines: the word, then the end. */
export function targetsOf(workload: Workload): number[][] {
  return batchOf(workload).map(({ label }) => [...LABEL_WORDS.ids[label], 1]);
}
