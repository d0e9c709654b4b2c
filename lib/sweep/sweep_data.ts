/**
 * The data of a sweep: opened, described for its cells, and with notes for its reader.
 *
 * @module
 */

import { type Dataset, loadDataset } from "../data/dataset.ts";
import { EMBEDDED } from "./base.ts";
import type { Cell } from "./cell.ts";
import type { Experiment } from "./experiment.ts";
import {
  fetchedFolder,
  missingData,
  missingHubData,
  parseHubBase,
  parsePublishedData,
} from "./references.ts";

/**
 * Opens the data that an experiment names.
 *
 * @throws Error, TypeError or RangeError saying what of the data does not fit.
 */
export async function openData(experiment: Experiment): Promise<Dataset> {
  const { data, split, splitSeed, textColumn, labelColumn, dedupe } = experiment;
  if (data === EMBEDDED) {
    if (split !== null) {
      throw new RangeError(
        `Cannot split the embedded data: it has a validation split; leave out --split`,
      );
    }
    const { embeddedDataset } = await import("../data/embedded/dataset.ts");
    return embeddedDataset();
  }
  const published = parsePublishedData(data);
  if (published !== null) throw missingData(published);
  const hub = parseHubBase(data);
  const dir = hub === null ? data : await fetchedFolder("dataset", hub);
  if (dir === null) throw missingHubData(hub!);
  return await loadDataset({
    dir,
    textColumn: textColumn ?? undefined,
    labelColumn: labelColumn ?? undefined,
    dedupe,
    validationRatio: split ?? undefined,
    seed: splitSeed,
  });
}

/**
 * The data's part of a cell's description.
 *
 * @throws RangeError where a split is to be measured that the data does not have.
 */
export function describeData(experiment: Experiment, data: Dataset): Cell["data"] {
  const { files, split } = data.source;
  const parts = files.map(({ split, name }) => `${split}: ${name}`);
  if (split !== undefined) {
    parts.push(`validation: ${split.ratio} of train, stratified, seed ${split.seed}`);
  }
  return {
    name: experiment.data.replace(/\/+$/, "").split("/").pop()!,
    digest: data.digest,
    trainSize: experiment.trainSize,
    splits: parts.join(", ") || experiment.data,
    dedupe: experiment.dedupe,
    evaluate: furtherSplits(experiment.evaluate, data),
    columns: {
      text: experiment.textColumn ?? "default",
      label: experiment.labelColumn ?? "default",
    },
  };
}

function furtherSplits(asked: Experiment["evaluate"], data: Dataset): Cell["data"]["evaluate"] {
  if (asked === null) return data.test === undefined ? [] : ["test"];
  if (asked.includes("test") && data.test === undefined) {
    throw new RangeError(
      `Cannot evaluate on test: the data has no test split with labels; use train or validation`,
    );
  }
  return (["test", "train"] as const).filter((name) => asked.includes(name));
}

/** Facts about the data to print before the first cell. */
export function dataNotes(data: Dataset): string[] {
  return [...data.source.notes, ...duplicateNotes(data)];
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
