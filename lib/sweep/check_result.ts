import type { Cell } from "./cell.ts";
import type { CellResult, EpochMetrics } from "./run_cell.ts";

/** Refuses the result of a run that diverged, or that does not fit its cell. @throws RangeError. */
export function checkResult({ epochs, predictions, splits }: CellResult, { task }: Cell): void {
  checkEpochs(epochs);
  const classes = task.labels.length;
  const isClass = (index: number): boolean => index in task.labels;
  const all = [predictions, ...Object.values(splits).map((split) => split.predictions)].flat();
  const wrong = all.find(({ label, prediction, scores }) =>
    !isClass(label) || !isClass(prediction) || scores.length !== classes
  );
  if (epochs.length === 0 || wrong !== undefined) {
    throw new RangeError(
      `Cannot accept the run: ` + (wrong === undefined ? "it has no epoch" : `prediction ` +
        `${wrong.id} does not fit ${classes} classes`),
    );
  }
}

/** Refuses metrics that are no numbers. @throws RangeError. */
export function checkEpochs(epochs: readonly EpochMetrics[]): void {
  for (const epoch of epochs) {
    for (const [name, value] of Object.entries(epoch)) {
      if (typeof value !== "number" || Number.isFinite(value)) continue;
      throw new RangeError(
        `Cannot accept the run: ${name} of epoch ${epoch.epoch} is ${value}; ` +
          `lower the learning rate, or clip the gradients`,
      );
    }
  }
}
