/**
 * From an experiment to cells that run: opens base and data once, trains each cell on one device.
 *
 * @module
 */

import { EMBEDDED_PROMPT } from "../data/corpus/embedded_vocabulary.ts";
import type { Dataset, Example } from "../data/dataset.ts";
import { loadDataset } from "../data/dataset.ts";
import { sampleStratified } from "../data/stratify.ts";
import { digestJson } from "../formats/digest.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { openGpu } from "../gpu/device.ts";
import type { Gpu } from "../gpu/device.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import { numericsFingerprint } from "../train/fingerprint.ts";
import { classificationMetrics } from "../train/metrics.ts";
import { type Encoded, type LabelWords, makeTask } from "../train/task.ts";
import { type EpochOutcome, train } from "../train/trainer.ts";
import { type Base, EMBEDDED, openBase } from "./base.ts";
import type { Cell } from "./cell.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import { type CellContext, expandGrid } from "./grid.ts";
import { resolveLabelWords } from "./label_words.ts";
import type { CellResult, EpochMetrics, PreparedSweep, RunHooks } from "./run_cell.ts";

/** What T5 was taught to expect before a sentence of SST-2 (Raffel et al., 2020, appendix D). */
const T5_PREFIX = "sst2 sentence: ";

/**
 * Opens what an experiment names, and resolves its cells.
 *
 * @throws Error, TypeError or RangeError saying what of base, data or experiment does not fit; then
 *   nothing has run and nothing is left on the device.
 */
export async function prepareSweep(experiment: ResolvedExperiment): Promise<PreparedSweep> {
  const base = await openBase(experiment.base);
  const data = await openData(experiment);
  const { labels } = data;
  const textToText = base.build(labels.length, false).textToText !== undefined;
  const words = resolveLabelWords(experiment.labelWords, labels);
  const context: CellContext = {
    base: { name: base.name, digest: base.digest },
    tokenizer: { digest: base.tokenizerDigest },
    data: {
      name: experiment.data.replace(/\/+$/, "").split("/").pop()!,
      digest: data.digest,
      trainSize: experiment.trainSize,
      splits: data.source.files.map(({ split, name }) => `${split}: ${name}`).join(", ") ||
        EMBEDDED,
      dedupe: experiment.dedupe,
      columns: {
        text: experiment.textColumn ?? "default",
        label: experiment.labelColumn ?? "default",
      },
    },
    task: {
      prefix: experiment.prefix ?? (textToText ? usualPrefix(experiment.base) : ""),
      labelWords: words,
      labels: [...labels],
    },
  };
  const cells = expandGrid(experiment, context);
  const labelWords = textToText
    ? { words, ids: words.map((word) => base.tokenizer.encodeBare(word)) }
    : null;
  // Words that cannot be told apart are refused here, before anything runs.
  makeTask(base.build(labels.length, !textToText), base.tokenizer.padId, labelWords);
  const gpu = await openGpu();
  const { probe } = await numericsFingerprint(gpu);
  const encoder = new Encoder(base, context.task.prefix);
  return {
    cells,
    runCell: (cell, hooks) => runCell({ gpu, base, data, encoder, labelWords }, cell, hooks),
    adapter: {
      name: gpu.adapter.description,
      limitsDigest: digestJson(gpu.adapter.limits).slice(0, 16),
      probe,
    },
    notes: [
      `Base ${base.name} (${base.digest.slice(0, 12)}), data ${context.data.name} (${
        data.digest.slice(0, 12)
      }): ${data.train.length} training, ${data.validation.length} validation examples`,
      `Labels: ${
        labels.map((label, i) =>
          textToText && words[i] !== label ? `${label} (${words[i]})` : label
        )
          .join(", ")
      }`,
      ...data.source.notes,
      ...duplicateNotes(data),
    ],
    close: () => gpu.destroy(),
  };
}

function usualPrefix(base: string): string {
  return base === EMBEDDED ? EMBEDDED_PROMPT : T5_PREFIX;
}

async function openData(experiment: ResolvedExperiment): Promise<Dataset> {
  if (experiment.data === EMBEDDED) {
    const { embeddedDataset } = await import("../data/embedded/dataset.ts");
    return embeddedDataset();
  }
  return await loadDataset({
    dir: experiment.data,
    textColumn: experiment.textColumn ?? undefined,
    labelColumn: experiment.labelColumn ?? undefined,
    dedupe: experiment.dedupe,
  });
}

function duplicateNotes(
  { duplicates: { within, across, conflicting, removed } }: Dataset,
): string[] {
  const leaking = across.trainValidation + across.trainTest;
  if (within.train + within.validation + leaking + conflicting === 0) return [];
  return [
    `Duplicates: ${within.train} within training, ${within.validation} within validation, ` +
    `${leaking} training rows that stand in validation or test, ${conflicting} texts under two labels` +
    (removed.repeated + removed.leaking > 0
      ? `; removed ${removed.repeated + removed.leaking}`
      : leaking > 0
      ? "; --dedupe removes those that leak"
      : ""),
  ];
}

/** Token ids of examples, each text encoded once. */
class Encoder {
  readonly #base: Base;
  readonly #prefix: string;
  readonly #known = new Map<string, number[]>();

  constructor(base: Base, prefix: string) {
    this.#base = base;
    this.#prefix = prefix;
  }

  encode(examples: readonly Example[], maxLength: number): Encoded[] {
    return examples.map(({ text, label }) => {
      const key = `${maxLength} ${text}`;
      const ids = this.#known.get(key) ??
        this.#base.tokenizer.encode(this.#prefix + text, maxLength);
      this.#known.set(key, ids);
      return { ids, label };
    });
  }
}

interface Shared {
  readonly gpu: Gpu;
  readonly base: Base;
  readonly data: Dataset;
  readonly encoder: Encoder;
  readonly labelWords: LabelWords | null;
}

async function runCell(shared: Shared, cell: Cell, hooks: RunHooks): Promise<CellResult> {
  const started = performance.now();
  const { gpu, base, data, encoder, labelWords } = shared;
  const { settings, seed } = cell;
  const classes = data.labels.length;
  const method = methods[cell.method.name];
  const model = base.build(classes, method.needsHead);
  const attached = attachMethod(model, method, cell.method.options);
  const maxLength = Math.min(
    settings.maxLength,
    (model.maxLength ?? Infinity) - attached.positions,
  );
  const sample = cell.data.trainSize === null
    ? data.train
    : sampleStratified(data.train, cell.data.trainSize, seed);
  const labels = data.validation.map(({ label }) => label);
  const epochs: EpochMetrics[] = [];
  let scores: EpochOutcome["scores"] = [];
  const outcome = await train({
    gpu,
    model,
    attached,
    task: makeTask(model, base.tokenizer.padId, model.textToText ? labelWords : null),
    settings,
    seed,
    weights: await base.weights(classes, method.needsHead),
    train: encoder.encode(sample, maxLength),
    validation: encoder.encode(data.validation, maxLength),
    signal: hooks.signal,
    onSync: (progress) => hooks.onStep({ ...progress, epochs: settings.epochs }),
    onEpoch: (epoch) => {
      scores = epoch.scores;
      const metrics = epochMetrics(epoch, labels, classes);
      epochs.push(metrics);
      hooks.onEpoch(metrics);
    },
  });
  if (outcome.trained.size > 0) {
    await writeSafetensors(
      `${hooks.folder}/delta.safetensors`,
      new Map(
        [...outcome.trained].map((
          [name, { shape, data }],
        ) => [name, { dtype: "F32", shape: [...shape], data }]),
      ),
    );
  }
  const { memory, steps, trainSeconds } = outcome;
  const trainableBytes = attached.counts.trainable * 4;
  return {
    epochs,
    best: epochs.reduce((best, one) => one.accuracy > best.accuracy ? one : best),
    last: epochs[epochs.length - 1],
    parameters: attached.counts,
    planned: {
      peakBytes: memory.total,
      weights: memory.byRole.weight + memory.byRole.trainable - trainableBytes,
      trainable: trainableBytes,
      optimizer: memory.byRole.gradient + memory.byRole.optimizer,
      activations: memory.activations,
    },
    predictions: scores.map((own, i) => ({
      id: data.validation[i].id,
      label: labels[i],
      prediction: largest(own),
      scores: softmax(own),
    })),
    times: {
      msPerStep: steps === 0 ? null : trainSeconds * 1000 / steps,
      examplesPerSecond: steps === 0 ? null : sample.length * settings.epochs / trainSeconds,
      seconds: (performance.now() - started) / 1000,
    },
  };
}

function epochMetrics(
  { epoch, losses, scores }: EpochOutcome,
  labels: readonly number[],
  classes: number,
): EpochMetrics {
  const { accuracy, precision, recall, f1 } = classificationMetrics(
    labels,
    scores.map(largest),
    classes,
  );
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    epoch,
    trainLoss: losses.length === 0 ? null : mean(losses),
    evalLoss: mean(scores.map((own, i) => -Math.log(softmax(own)[labels[i]]))),
    accuracy,
    precision,
    recall,
    f1,
  };
}

/** Index of the largest score, the first of equals. */
function largest(scores: readonly number[]): number {
  return scores.reduce((best, score, i) => score > scores[best] ? i : best, 0);
}

function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}
