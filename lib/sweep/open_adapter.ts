import { methods } from "../peft/index.ts";
import { loadAdapter } from "../train/load_adapter.ts";
import { defaultTrainSettings } from "../train/settings.ts";
import type { Base } from "./base.ts";
import { type Cell, NUMERICS_VERSION } from "./cell.ts";
import { openStart } from "./start_delta.ts";
import { type TunedModel, tunedModel } from "./tuned.ts";

/** What a saved delta does not say of the task that it was trained for. */
export interface AdapterTask {
  /** Names of the classes, in the order of the head's rows or of the words; at least two. */
  readonly labels: readonly string[];
  /** The word of each class, for a base that answers in words; the labels themselves unless given. */
  readonly labelWords?: readonly string[];
  /** Put before every text; nothing unless given. */
  readonly prefix?: string;
  /** Tokens after which a text is cut; 128 unless given. */
  readonly maxLength?: number;
  /** Whether a base that could answer in words classifies by a head. */
  readonly head?: boolean;
}

/**
 * Opens a delta that anybody saved, on its base: a folder of PEFT, AdapterHub or OpenDelta. Needs
 * `--allow-read` for the folder.
 *
 * @returns The model, as `makeClassifier` takes it. Nothing is known of its training: the cell's data
 *   are those of the folder, its settings the defaults.
 * @throws TypeError, RangeError or `UnsupportedError` naming a setting, tensor or shape that does not
 *   fit, Error where the folder holds no delta.
 *
 * @example
 * ```ts
 * import { makeClassifier, openAdapter, openBase } from "@tunegrid/tunegrid";
 *
 * // What tells a mood, by a delta on the embedded base.
 * async function mood(folder: string, text: string): Promise<string> {
 *   const labels = ["negative", "positive"];
 *   const base = await openBase("embedded");
 *   const tuned = await openAdapter(folder, base, { labels, prefix: "sentiment: " });
 *   await using classifier = makeClassifier(tuned);
 *   const [{ label }] = await classifier.predict([text]);
 *   return label;
 * }
 * ```
 */
export async function openAdapter(
  dir: string,
  base: Base,
  { labels, labelWords = labels, prefix = "", maxLength = 128, head = false }: AdapterTask,
): Promise<TunedModel> {
  const { name: folder, digest, delta } = await openStart(dir);
  const byHead = head || methods[delta.method]?.needsHead === true;
  const weights = await base.weights(labels.length, byHead);
  const { method, options, values } = await loadAdapter(
    base.build(labels.length, byHead),
    dir,
    weights,
    { baseDigest: base.digest },
  );
  const cell: Cell = {
    version: NUMERICS_VERSION,
    base: { name: base.name, digest: base.digest },
    tokenizer: { digest: base.tokenizerDigest },
    data: {
      name: folder,
      digest,
      trainSize: null,
      splits: "unknown",
      dedupe: false,
      evaluate: [],
      columns: { text: "default", label: "default" },
    },
    task: { head: byHead, prefix, labelWords, labels },
    method: { name: method.name, options },
    settings: { ...defaultTrainSettings, learningRate: 0, maxLength },
    start: { name: folder, digest },
    seed: 0,
    precision: "f32",
  };
  return await tunedModel(
    cell,
    base,
    (trainable) => Promise.resolve(new Map(trainable.map(({ name }) => [name, values.get(name)!]))),
  );
}
