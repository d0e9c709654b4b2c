import { quantity } from "./quantity.ts";
import type { HeadOrigin } from "./run_cell.ts";
import type { Run } from "./run_folder.ts";
import type { TableRow } from "./table.ts";

/** What a reader must know to read a table's figures right, a sentence each. */
export function tableNotes(runs: readonly Run[], rows: readonly TableRow[]): string[] {
  const done = runs.filter(({ result }) => result !== null);
  if (done.length === 0) return [];
  const best = done.filter(({ cell }) => cell.settings.keep === "best");
  const rest = best.length === 0
    ? "all other metrics are those after the last epoch."
    : "last-epoch accuracy is not.";
  const notes = [
    "Max. accuracy is that of the best epoch, chosen on the very examples it is measured on, and " +
    `so biased upwards; ${rest}`,
    ...keepNote(best, done),
    ...splitNotes(done),
    ...evaluationNotes(done),
    ...headNotes(done),
    ...scaleNotes(done),
    ...methodNotes(done),
    ...startNotes(done),
    ...timeNotes(done),
  ];
  const early = done.filter(({ result }) => result!.stoppedEarly);
  if (early.length > 0) {
    notes.push(`Patience ended ${early.length} of ${done.length} runs before their last epoch.`);
  }
  const labels = [...new Set(done.map(({ cell }) => cell.task.labels.length))];
  const positive = [...new Set(done.map(({ cell }) => cell.task.labelWords[1]))];
  if (labels.length === 1 && labels[0] === 2 && positive.length === 1) {
    notes.push(`Precision, recall and F1 are those of the class "${positive[0]}".`);
  } else if (!labels.includes(2)) {
    notes.push("Precision, recall and F1 are unweighted means over the classes.");
  }
  if (rows.some(({ values }) => values.lastAccuracy?.sd != null)) {
    notes.push(
      "± is the sample standard deviation over the seeds; 95 % is Student's t interval of their mean " +
        "on these examples, and where seeds are one or alike, Wilson's interval for the choice of examples.",
    );
  } else if (rows.some(({ values }) => values.lastAccuracy !== null)) {
    notes.push("95 % is Wilson's interval of one run, for the choice of examples.");
  }
  const examples = [...new Set(done.map(({ result }) => result!.examples))];
  if (examples.length === 1) {
    const p = quantity(done.map(({ result }) => result!.last.accuracy)).mean;
    const error = 100 * Math.sqrt(p * (1 - p) / examples[0]);
    notes.push(
      `${examples[0]} validation examples: an accuracy near ${(100 * p).toFixed(0)} % has a ` +
        `standard error of ${error.toFixed(1)} points from the choice of examples alone.`,
    );
  }
  return notes;
}

/** What runs started from, where that was not the seed's draw. */
function startNotes(done: readonly Run[]): string[] {
  const notes = done.flatMap(({ approach, cell: { start } }) =>
    start === undefined
      ? []
      : [`${approach} went on from the saved delta ${start.name} (${start.digest.slice(0, 12)}).`]
  );
  return [...new Set(notes)];
}

/** Which times are shares of what several cells took together. */
function timeNotes(done: readonly Run[]): string[] {
  const cells = done.flatMap(({ times }) => times?.sharedBy ?? []);
  if (cells.length === 0) return [];
  return [
    `${cells.length} of ${done.length} runs shared programs, up to ${Math.max(...cells)} in one: ` +
    "their ms/step, examples/s and seconds are equal shares of what those took together, and do " +
    "not compare methods; --cells-per-program 1 measures each alone.",
  ];
}

/** What methods say of their numbers, once for each approach. */
function methodNotes(done: readonly Run[]): string[] {
  const notes = done.flatMap(({ approach, result }) =>
    result!.note == null ? [] : [`${approach}: ${result!.note}.`]
  );
  return [...new Set(notes)];
}

/** What the figures beside the two accuracies are, where not all are the last epoch's. */
function keepNote(best: readonly Run[], done: readonly Run[]): string[] {
  if (best.length === 0) return [];
  const metrics = [...new Set(best.map(({ cell }) => cell.settings.metric))].join(" or ");
  const trained = done.filter(({ cell }) => cell.settings.epochs > 0);
  const where = best.length === trained.length ? "All" : "Where keep is best, all";
  return [
    `${where} other metrics, saved weights and predictions are those of the epoch with the best ` +
    `validation ${metrics}, and so biased upwards on validation examples, not on test ones.`,
  ];
}

function splitNotes(done: readonly Run[]): string[] {
  return ["test", "train"].flatMap((name) => {
    const sizes = done.flatMap(({ result }) => result!.splits[name]?.examples ?? []);
    if (sizes.length === 0) return [];
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    const size = least === most ? `${least}` : `${least} to ${most}`;
    return [
      `${name === "test" ? "Test" : "Train"} columns: ${size} ${name} examples, measured once, ` +
      `with the weights that are kept.`,
    ];
  });
}

/** Which figures were computed by something else than what trained. */
function evaluationNotes(done: readonly Run[]): string[] {
  const others = Map.groupBy(
    done.filter(({ result }) => result!.evaluatedBy !== undefined),
    ({ result }) => result!.evaluatedBy!,
  );
  return [...others].map(([by, runs]) =>
    `${runs.length === done.length ? "All" : `${runs.length} of ${done.length}`} runs were ` +
    `evaluated by ${by} when training was over: predictions, precision, recall, F1, loss, and ` +
    `the columns of other splits; the two accuracies are measured while training, by WebGPU.`
  );
}

/** How the loss scale of half precision fared. */
function scaleNotes(done: readonly Run[]): string[] {
  const scales = done.flatMap(({ result }) => result!.last.lossScale ?? []);
  if (scales.length === 0) return [];
  const skipped = done.flatMap(({ result }) => result!.last.skippedSteps ?? []);
  const range = (values: readonly number[]) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return least === most ? `${most}` : `${least} to ${most}`;
  };
  return [
    `f16: weights and activations are stored in half precision; ${
      range(skipped)
    } steps a run were ` +
    `skipped because gradients overflowed, and the loss scale ended at ${range(scales)}.`,
  ];
}

/** What classifies where nothing is trained, or where another way was asked for. */
function headNotes(done: readonly Run[]): string[] {
  const texts: Record<HeadOrigin, (run: Run) => string> = {
    label_words: ({ cell }) =>
      `zero_shot compares how likely the base, trained no further, finds the label words ${
        cell.task.labelWords.map((word) => `"${word}"`).join(", ")
      }.`,
    seeded: () =>
      "zero_shot of a sequence classifier uses its head as the seed drew it, untrained: what it " +
      "scores is chance.",
    checkpoint: () => "zero_shot uses the classification head that the checkpoint brings.",
  };
  const untrained = done.filter(({ cell }) => cell.method.name === "zero_shot");
  const notes = untrained.map((run) => texts[run.result!.head](run));
  if (done.some(({ cell }) => cell.task.head)) {
    notes.push(
      "The base's encoder classifies by a linear head under every method, not in label words.",
    );
  }
  return [...new Set(notes)];
}
