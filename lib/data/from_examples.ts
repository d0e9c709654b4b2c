import { cleanText } from "./clean.ts";
import { type Dataset, makeDataset } from "./dataset.ts";
import { type Example } from "./example.ts";
import { mapLabels } from "./labels.ts";
import { splitStratified } from "./stratify.ts";

/** A text with the name of its class. */
export interface LabelledText {
  /** The text; cleaned as a file's would be. */
  readonly text: string;
  /** The class, by name. */
  readonly label: string;
}

/** Labelled texts in splits, as a program holds them. */
export interface LabelledSplits {
  /** What is trained on. */
  readonly train: readonly LabelledText[];
  /** What epochs are measured on; by default a tenth of `train`, stratified, drawn by seed 0. */
  readonly validation?: readonly LabelledText[];
  /** What is measured once, at the end. */
  readonly test?: readonly LabelledText[];
  /** All labels in the order of their classes; by default those of `train`, sorted. */
  readonly labels?: readonly string[];
}

/**
 * A data set of texts that a program holds already; see `loadDataset` for files.
 *
 * @throws RangeError where a label is unknown, a text empty, or there are fewer than 2 classes.
 *
 * @example
 * ```ts
 * import { datasetFrom } from "@tunegrid/tunegrid";
 *
 * const data = datasetFrom({
 *   train: [{ text: "superb", label: "good" }, { text: "dreadful", label: "bad" }],
 *   validation: [{ text: "splendid", label: "good" }],
 * });
 * console.log(data.labels); // ["bad", "good"]
 * ```
 */
export function datasetFrom(splits: LabelledSplits): Dataset {
  const { names, ids } = mapLabels(splits.train.map(({ label }) => label), splits.labels);
  const examples = (split: string, texts: readonly LabelledText[]): Example[] =>
    texts.map((one, id) => {
      const label = ids.get(one.label);
      const text = cleanText(one.text);
      if (label !== undefined && text !== "") return { text, label, id };
      const wrong = text === ""
        ? "its text is empty; leave it out"
        : `unknown label ${JSON.stringify(one.label)}; known are ${names.join(", ")}`;
      throw new RangeError(`Cannot use ${split} text ${id}: ${wrong}`);
    });
  const test = splits.test && examples("test", splits.test);
  const train = examples("train", splits.train);
  if (splits.validation !== undefined) {
    const validation = examples("validation", splits.validation);
    return makeDataset({ train, validation, test }, names, { files: [], notes: [] });
  }
  const [ratio, seed] = [0.1, 0];
  const size = Math.round(train.length * ratio);
  const [validation, rest] = splitStratified(train, size, seed, "validation");
  return makeDataset({ train: rest, validation, test }, names, {
    files: [],
    split: { ratio, seed },
    notes: [`validation split: ${size} of ${train.length} training texts, stratified`],
  });
}
