/** What a classifier's predictions are worth, all as shares from 0 to 1. */
export interface ClassificationMetrics {
  /** Share of predictions that equal their label. */
  accuracy: number;
  /** Of what was predicted as a class, the share that is of that class. */
  precision: number;
  /** Of what is of a class, the share that was predicted as it. */
  recall: number;
  /** Harmonic mean of precision and recall. */
  f1: number;
  /** Counts, [label][prediction]. */
  confusion: number[][];
}

/**
 * Counts how often each label met each prediction.
 *
 * @param labels Class indices, [N]
 * @param predictions Class indices, [N]
 * @param classes Number of classes C, at least 2
 * @returns Counts, [C][C], indexed by label, then by prediction
 * @throws {TypeError} When the two lists differ in length
 * @throws {RangeError} When there is no example, or an index is not a class
 */
export function confusionMatrix(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
): number[][] {
  if (labels.length !== predictions.length) {
    throw new TypeError(
      `Cannot compare ${labels.length} labels with ${predictions.length} predictions: ` +
        `there must be one for each`,
    );
  }
  if (labels.length === 0) throw new RangeError("Cannot compute metrics of no examples");
  if (!Number.isSafeInteger(classes) || classes < 2) {
    throw new RangeError(`Cannot compute metrics for ${classes} classes: must be at least 2`);
  }
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) {
    for (const index of [labels[i], predictions[i]]) {
      if (!Number.isInteger(index) || index < 0 || index >= classes) {
        throw new RangeError(
          `Cannot count example ${i}: class ${index} is not one of the ${classes} classes`,
        );
      }
    }
    confusion[labels[i]][predictions[i]]++;
  }
  return confusion;
}

const ratio = (part: number, whole: number): number => whole === 0 ? 0 : part / whole;

/**
 * Accuracy, precision, recall and F1. With two classes the last three are class 1's; with more,
 * they are the unweighted mean over the classes (macro). A ratio of nothing to nothing counts as 0.
 *
 * @param labels Class indices, [N]
 * @param predictions Class indices, [N]
 * @param classes Number of classes, at least 2
 * @throws {TypeError} When the two lists differ in length
 * @throws {RangeError} When there is no example, or an index is not a class
 */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
): ClassificationMetrics {
  const confusion = confusionMatrix(labels, predictions, classes);
  const correct = confusion.reduce((sum, row, c) => sum + row[c], 0);
  const perClass = confusion.map((row, c) => {
    const precision = ratio(row[c], confusion.reduce((sum, other) => sum + other[c], 0));
    const recall = ratio(row[c], row.reduce((sum, n) => sum + n, 0));
    return { precision, recall, f1: ratio(2 * precision * recall, precision + recall) };
  });
  const counted = classes === 2 ? [perClass[1]] : perClass;
  const mean = (key: "precision" | "recall" | "f1"): number =>
    counted.reduce((sum, one) => sum + one[key], 0) / counted.length;
  return {
    accuracy: correct / labels.length,
    precision: mean("precision"),
    recall: mean("recall"),
    f1: mean("f1"),
    confusion,
  };
}
