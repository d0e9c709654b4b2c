import type { Experiment } from "./experiment.ts";

/**
 * The word for each class. Without an answer from the experiment, labels `0` and `1` mean
 * `negative` and `positive` (GLUE's SST-2), and other labels are their own words. Words in class
 * order that are the labels themselves stand for themselves, in whatever order they were given.
 *
 * @param labelWords What the experiment says
 * @param labels The data's label strings, in class order
 * @returns One word for each class, in class order
 * @throws {RangeError} When words and labels do not match one to one
 */
export function resolveLabelWords(
  labelWords: Experiment["labelWords"],
  labels: readonly string[],
): string[] {
  if (labelWords === null) {
    const binary = labels.length === 2 && labels[0] === "0" && labels[1] === "1";
    return binary ? ["negative", "positive"] : [...labels];
  }
  if (isList(labelWords)) {
    if (labelWords.length !== labels.length) {
      throw new RangeError(
        `Cannot use label words ${labelWords.join(", ")}: the data has ${labels.length} labels ` +
          `(${labels.join(", ")}); give one word for each`,
      );
    }
    return labels.every((label) => labelWords.includes(label)) ? [...labels] : [...labelWords];
  }
  const unknown = Object.keys(labelWords).filter((label) => !labels.includes(label));
  const missing = labels.filter((label) => !Object.hasOwn(labelWords, label));
  if (unknown.length > 0 || missing.length > 0) {
    throw new RangeError(
      `Cannot use label words for ${Object.keys(labelWords).join(", ")}: ` +
        `the data's labels are ${labels.join(", ")}; give one word for each`,
    );
  }
  return labels.map((label) => labelWords[label]);
}

function isList(value: Experiment["labelWords"]): value is readonly string[] {
  return Array.isArray(value);
}
