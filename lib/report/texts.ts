/**
 * The sentences that a report shows, from the data that its runs were made on.
 *
 * @module
 */

import { type Dataset, loadDataset } from "../data/dataset.ts";
import { EMBEDDED } from "../sweep/base.ts";
import type { Cell } from "../sweep/cell.ts";
import type { ReportRun } from "./read_runs.ts";
import type { Texts } from "./hardest_examples.ts";

/**
 * Texts of validation examples, by the data's digest: those of the embedded data, and of the data
 * that is given.
 *
 * @param data Folder or file of the runs' data; null where their texts are not to be shown
 * @throws {Error} When the data cannot be read, or is not what the runs were made on
 */
export async function openTexts(
  runs: readonly ReportRun[],
  data: string | null,
): Promise<Map<string, Texts>> {
  const cells = new Map(runs.map(({ cell }) => [cell.data.digest, cell]));
  const texts = new Map<string, Texts>();
  for (const [digest, cell] of cells) {
    if (cell.data.name !== EMBEDDED) continue;
    const { embeddedDataset } = await import("../data/embedded/dataset.ts");
    const dataset = embeddedDataset();
    if (dataset.digest === digest) texts.set(digest, textsOf(dataset));
  }
  if (data === null) return texts;
  const found: string[] = [];
  for (const [digest, cell] of cells) {
    if (cell.data.name === EMBEDDED) continue;
    const dataset = await openAs(data, cell);
    if (dataset.digest === digest) return texts.set(digest, textsOf(dataset));
    found.push(dataset.digest);
  }
  throw new Error(
    `Cannot show texts of ${data}: it must be the data that the runs were made on, with digest ${
      short([...cells.keys()])
    }, found ${short(found) || "no run on data of that kind"}; leave out --data to show ids alone`,
  );
}

const textsOf = ({ validation }: Dataset): Texts =>
  new Map(validation.map(({ id, text }) => [String(id), text]));

const short = (digests: readonly string[]): string =>
  [...new Set(digests)].map((digest) => digest.slice(0, 12)).join(" or ");

/** Opens data as a cell's was opened. */
async function openAs(dir: string, { data }: Cell): Promise<Dataset> {
  const { columns, dedupe, splits } = data;
  const split = /validation: ([\d.e-]+) of train, stratified, seed (\d+)/.exec(splits);
  return await loadDataset({
    dir,
    dedupe,
    textColumn: columns.text === "default" ? undefined : columns.text,
    labelColumn: columns.label === "default" ? undefined : columns.label,
    ...split && { validationRatio: Number(split[1]), seed: Number(split[2]) },
  });
}
