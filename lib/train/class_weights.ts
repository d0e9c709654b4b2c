import type { TrainSettings } from "./settings.ts";

/**
 * Weight of each class in the loss.
 *
 * @param setting `balanced` gives N / (C · n) to a class with n of the N examples, as scikit-learn
 *   does, and 0 to a class without any; else weights by label.
 * @param labels The data's label strings, in class order.
 * @param examples What is trained on.
 * @returns One weight for each class; null where all count the same.
 * @throws RangeError where weights by label do not fit the labels one to one.
 */
export function classWeights(
  setting: TrainSettings["classWeights"],
  labels: readonly string[],
  examples: readonly { readonly label: number }[],
): number[] | null {
  if (setting === null) return null;
  if (setting === "balanced") {
    const counts = labels.map(() => 0);
    for (const { label } of examples) counts[label]++;
    return counts.map((n) => n === 0 ? 0 : examples.length / (labels.length * n));
  }
  const given = Object.keys(setting);
  if (given.length !== labels.length || labels.some((label) => !Object.hasOwn(setting, label))) {
    throw new RangeError(
      `Cannot weight classes ${given.join(", ")}: the data's labels are ${labels.join(", ")}; ` +
        `give one weight for each`,
    );
  }
  return labels.map((label) => setting[label]);
}
