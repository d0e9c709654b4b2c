/**
 * A trained model that programs ask: labels and probabilities of texts, metrics of examples.
 *
 * @module
 */

import { cleanText } from "../data/clean.ts";
import type { Example } from "../data/example.ts";
import { type Backend, chooseBackend } from "../infer/backend.ts";
import { type Predictor, predictTexts } from "../infer/predict.ts";
import type { TextPrediction } from "../infer/prediction_format.ts";
import type { Scorer } from "../infer/scorer.ts";
import { type SplitMetrics, splitMetrics } from "../train/metrics.ts";
import { openTuned, type TunedModel } from "./tuned.ts";
import { openOnGpu, tunedPredictor } from "./tuned_scorer.ts";

/** How a classifier computes. */
export interface ClassifierOptions {
  /** Texts of a batch; 32 unless given. */
  readonly batch?: number;
}

/** How a run is opened as a classifier. */
export interface OpenClassifierOptions extends ClassifierOptions {
  /** Folder of the run's base; by default where the run found it. */
  readonly base?: string;
  /**
   * What computes; `webgpu` unless given. `auto` takes a GPU, or ONNX Runtime where there is none.
   * ONNX Runtime (`ort`) needs `--allow-ffi`, best for its npm package's folder alone, and
   * `--allow-read` and `--allow-write` for {@linkcode cache}.
   */
  readonly backend?: Backend | "auto";
  /** Folder where ONNX Runtime's copy of the model is kept; `.cache/onnx` unless given. */
  readonly cache?: string;
}

/** A model that tells classes apart. Made once, asked often; close it, or declare it `await using`. */
export interface Classifier extends AsyncDisposable {
  /** Model, method and values, as `export` takes them. */
  readonly tuned: TunedModel;
  /** Names of the classes, in class order. */
  readonly labels: readonly string[];
  /**
   * Label and probabilities of texts, in their order; what is longer than the model's longest input
   * is cut.
   *
   * @throws RangeError where a text is empty, Error where the backend is not to be had.
   */
  predict(texts: readonly string[]): Promise<TextPrediction[]>;
  /**
   * Metrics of labelled texts, such as a split of a data set: shares from 0 to 1, loss in nats.
   *
   * @param examples At least one; their classes are those of {@linkcode labels}.
   * @throws RangeError where there is none, or a class is unknown.
   */
  evaluate(examples: readonly Pick<Example, "text" | "label">[]): Promise<SplitMetrics>;
  /** Frees what it holds on the device; it may be asked again, and then starts anew. */
  close(): Promise<void>;
}

/**
 * Opens a run that was trained by `fineTune` or a sweep. Needs `--allow-read` for its folder and its
 * base's.
 *
 * @param folder The run's folder.
 * @throws As `openTuned` does.
 *
 * @example
 * ```ts
 * import { openClassifier, runExperiment } from "@tunegrid/tunegrid";
 *
 * const out = await Deno.makeTempDir();
 * const { runs: [run] } = await runExperiment({
 *   methods: "head",
 *   trainSize: 64,
 *   settings: { epochs: 1, batchSize: 16, maxLength: 24 },
 *   evaluate: ["validation"],
 *   out,
 * });
 * const classifier = await openClassifier(`${out}/${run.id}`);
 * console.log(await classifier.predict(["the music is superb"]));
 * await classifier.close();
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export async function openClassifier(
  folder: string,
  { base, backend = "webgpu", cache, batch }: OpenClassifierOptions = {},
): Promise<Classifier> {
  const tuned = await openTuned(folder, base);
  const chosen = await chooseBackend(backend);
  return classifierOf(tuned, tunedPredictor(tuned, { ...chosen, cache }).open, batch);
}

/** A classifier, on WebGPU, of a model that is open already; nothing starts before it is asked. */
export function makeClassifier(tuned: TunedModel, options: ClassifierOptions = {}): Classifier {
  const open: Predictor["open"] = (rows, maxLength) => openOnGpu(tuned, rows, maxLength);
  return classifierOf(tuned, open, options.batch);
}

function classifierOf(tuned: TunedModel, make: Predictor["open"], batch = 32): Classifier {
  let held: { scorer: Scorer; rows: number; maxLength: number } | null = null;
  const close = async (): Promise<void> => {
    const { scorer } = held ?? {};
    held = null;
    await scorer?.close();
  };
  /** The scorer that is held, or one that is large enough for what it must serve besides. */
  const open: Predictor["open"] = async (rows, maxLength) => {
    if (held === null || held.rows < rows || held.maxLength < maxLength) {
      const size = {
        rows: Math.max(rows, held?.rows ?? 0),
        maxLength: Math.max(maxLength, held?.maxLength ?? 0),
      };
      await close();
      held = { scorer: await make(size.rows, size.maxLength), ...size };
    }
    const { scorer } = held;
    return { name: scorer.name, score: (ids) => scorer.score(ids), close: () => Promise.resolve() };
  };
  const { labels, maxLength, encode } = tuned;
  const predictor: Predictor = { labels, maxLength, encode, isCut: () => false, open };
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other: they share a scorer. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };
  return {
    tuned,
    labels: tuned.labels,
    predict: (texts) =>
      inTurn(async () => {
        const clean = texts.map((text) => cleanText(text));
        const empty = clean.indexOf("");
        if (empty >= 0) throw new RangeError(`Cannot predict text ${empty}: it is empty`);
        return await Array.fromAsync(predictTexts(predictor, each(clean), { batch }));
      }),
    evaluate: (examples) =>
      inTurn(async () => {
        if (examples.length === 0) throw new RangeError("Cannot evaluate on no examples");
        const ids = examples.map(({ text }) => tuned.encode(cleanText(text)));
        const longest = Math.max(...ids.map((own) => own.length));
        const scorer = await open(Math.min(batch, examples.length), longest);
        const labels = examples.map(({ label }) => label);
        return splitMetrics(labels, await scorer.score(ids), tuned.labels.length);
      }),
    close: () => inTurn(close),
    [Symbol.asyncDispose]: () => inTurn(close),
  };
}

async function* each(texts: readonly string[]): AsyncGenerator<string> {
  yield* texts;
}
