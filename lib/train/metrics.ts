/** Precision, recall and F1, as shares from 0 to 1. */
export interface ClassMetrics {
  /** Of what was predicted as a class, the share that is of that class. */
  precision: number;
  /** Of what is of a class, the share that was predicted as it. */
  recall: number;
  /** Harmonic mean of precision and recall. */
  f1: number;
}

/**
 * What a classifier's predictions are worth, all as shares from 0 to 1. Precision, recall and F1 at
 * the top are those of class 1 of two (binary), and {@link macro} with more.
 */
export interface ClassificationMetrics extends ClassMetrics {
  /** Share of predictions that equal their label. */
  accuracy: number;
  /** Unweighted means over the classes. */
  macro: ClassMetrics;
  /** Means over the classes, weighted by their numbers of examples. */
  weighted: ClassMetrics;
  /** Of each class, with its number of examples. */
  perClass: (ClassMetrics & { support: number })[];
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
 * Accuracy; precision, recall and F1 of each class, as binary, macro and weighted; the confusion
 * matrix. The definitions are scikit-learn's `precision_recall_fscore_support` with all classes as
 * `labels` (means go over classes without examples too) and `zero_division=0` (a ratio of nothing to
 * nothing counts as 0); macro F1 is the mean of the classes' F1.
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
    const predicted = confusion.reduce((sum, other) => sum + other[c], 0);
    const support = row.reduce((sum, n) => sum + n, 0);
    return {
      precision: ratio(row[c], predicted),
      recall: ratio(row[c], support),
      f1: ratio(2 * row[c], predicted + support),
      support,
    };
  });
  const mean = (weight: (support: number) => number): ClassMetrics => {
    const of = (key: keyof ClassMetrics) =>
      perClass.reduce((sum, one) => sum + weight(one.support) * one[key], 0);
    return { precision: of("precision"), recall: of("recall"), f1: of("f1") };
  };
  const macro = mean(() => 1 / classes);
  const { support: _, ...binary } = perClass[1];
  return {
    accuracy: correct / labels.length,
    ...classes === 2 ? binary : macro,
    macro,
    weighted: mean((support) => support / labels.length),
    perClass,
    confusion,
  };
}

/** The metrics of one split. */
export interface SplitMetrics extends ClassificationMetrics {
  /** How many examples it has. */
  examples: number;
  /** Mean cross-entropy of the examples' labels under the softmax of their scores, unweighted. */
  loss: number;
}

/**
 * Metrics of a split from its scores.
 *
 * @param labels Class indices, [N]
 * @param scores [N][classes]; the largest is the prediction, the first of equals.
 */
export function splitMetrics(
  labels: readonly number[],
  scores: readonly (readonly number[])[],
  classes: number,
): SplitMetrics {
  const losses = scores.map((own, i) => -Math.log(softmax(own)[labels[i]]));
  return {
    examples: labels.length,
    loss: losses.reduce((a, b) => a + b, 0) / losses.length,
    ...classificationMetrics(labels, scores.map(largest), classes),
  };
}

/** Index of the largest score, the first of equals. */
export function largest(scores: readonly number[]): number {
  return scores.reduce((best, score, i) => score > scores[best] ? i : best, 0);
}

/** Probabilities of scores. */
export function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}
