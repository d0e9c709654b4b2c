/**
 * What an experiment would cost, from configurations alone: no weights, no GPU, and no data where
 * its size is published.
 *
 * @module
 */

import { bytesText } from "../formats/bytes_text.ts";
import { readConfig } from "../formats/huggingface.ts";
import { textColumns } from "../formats/text_columns.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel } from "../models/index.ts";
import { methods } from "../peft/index.ts";
import { EMBEDDED } from "./base.ts";
import type { Cell } from "./cell.ts";
import { checkTask } from "./check_cells.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import { expandGrid } from "./grid.ts";
import { halvingText, planHalving } from "./halving.ts";
import type { MethodSpec } from "./method_spec.ts";
import { mostCells, programKey } from "./packs.ts";
import { type CellPlan, type DataSize, planCell } from "./plan_cell.ts";
import { findPublished, type PublishedTable } from "./published.ts";
import {
  fetchedFolder,
  hubConfig,
  missingBase,
  parseHubBase,
  parsePublishedData,
} from "./references.ts";
import { openData } from "./sweep_data.ts";

/** Cells that differ in their seeds alone, and what each of them takes. */
interface PlannedGroup {
  readonly cell: Cell;
  readonly label: string;
  readonly plan: CellPlan;
}

/**
 * Describes what an experiment would run: cells, parameters, bytes and operations.
 *
 * @param published A published table, whose numbers stand beside ours.
 * @returns Text for a terminal.
 * @throws Error, TypeError or RangeError where configuration, data or a method does not fit.
 */
export async function dryRun(
  experiment: ResolvedExperiment,
  published?: PublishedTable,
): Promise<string> {
  const config = await configOf(experiment.base);
  const capable = buildModel(config, { classes: 2, head: false }).textToText !== undefined;
  checkTask(experiment.task, capable, experiment.base);
  const size = await sizeOf(experiment);
  if ((experiment.trainSize ?? 0) > size.train) {
    throw new RangeError(
      `Cannot sample ${experiment.trainSize} training examples: there are ${size.train}`,
    );
  }
  const cells = cellsOf(experiment, size);
  const groups = Map.groupBy(cells, ({ method, settings }) => JSON.stringify([method, settings]));
  const planned = [...groups.values()].map(([cell]): PlannedGroup => ({
    cell,
    label: methods[cell.method.name].label(cell.method.options),
    plan: planCell(config, size, cell, experiment),
  }));
  const range = (read: (plan: CellPlan) => number) => {
    const values = planned.map(({ plan }) => read(plan));
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return least === most ? whole(most) : `${whole(least)} to ${whole(most)}`;
  };
  const examples = whole(experiment.trainSize ?? size.train);
  const steps = whole(Math.max(...planned.map(({ plan }) => plan.steps)));
  return [
    `${counted(cells.length, "cell")}: ${counted(planned.length, "approach")}, ${
      counted(experiment.seeds.length, "seed")
    }`,
    ...halvingNotes(cells, experiment),
    ...packNotes(cells, experiment),
    `Base: ${experiment.base}`,
    `Data: ${size.name}, ${examples} training and ${whole(size.validation)} validation examples; ` +
    `up to ${steps} steps`,
    "",
    planTable(planned, published),
    "",
    `Planned for batches of ${range(({ rows }) => rows)} × ${
      range(({ length }) => length)
    } tokens, the longest there are; shorter texts take fewer operations (FLOP).`,
    `Bytes are those of tensors; the launches' parameters add a few hundred for each kernel.`,
    ...notes(planned, experiment.memory, published),
  ].join("\n");
}

function halvingNotes(
  cells: readonly Cell[],
  { halving: eta, choose }: ResolvedExperiment,
): string[] {
  if (eta === null) return [];
  const label = ({ name, options }: MethodSpec) => methods[name].label(options);
  return [halvingText(planHalving(cells, { eta, choose }), eta, label)];
}

/** Which cells may share programs; how many do, the adapter decides too, where nothing is asked for. */
function packNotes(cells: readonly Cell[], experiment: ResolvedExperiment): string[] {
  const most = [true, false].map((software) => mostCells(experiment, software));
  if (Math.max(...most) === 1) return [];
  const packs = Map.groupBy(cells, (cell) => programKey(cell) ?? "");
  const alone = packs.get("") ?? [];
  packs.delete("");
  const shared = [...packs.values()].filter((own) => own.length > 1);
  if (shared.length === 0) return [];
  const [software, hardware] = most;
  const bound = software === hardware
    ? `${software}`
    : `${hardware} (${software} on a software adapter)`;
  const left = alone.length + packs.size - shared.length;
  return [
    `Cells that may share a program, at most ${bound}, as far as memory allows:`,
    ...shared.map((own) => {
      const labels = own.map(({ method: { name, options } }) => methods[name].label(options));
      return `  ${own.length}: ${[...new Set(labels)].join(", ")}; seed ${own[0].seed}`;
    }),
    ...left > 0 ? [`  Alone: ${left}`] : [],
  ];
}

/** The cells, but for what only the base's and the data's own files tell. */
function cellsOf(experiment: ResolvedExperiment, { name, labels }: DataSize): Cell[] {
  const { base, trainSize, dedupe } = experiment;
  return expandGrid(experiment, {
    base: { name: base, digest: "" },
    tokenizer: { digest: "" },
    data: {
      name,
      digest: "",
      trainSize,
      splits: "",
      dedupe,
      evaluate: [],
      columns: { text: "", label: "" },
    },
    task: { head: experiment.task === "classification", prefix: "", labelWords: labels, labels },
  });
}

function planTable(planned: readonly PlannedGroup[], published?: PublishedTable): string {
  const find = findPublished(published, methods);
  const keeps = planned.some(({ plan }) => plan.planned.kept !== undefined);
  const rows = planned.map(({ cell, label, plan }) => {
    const { parameters, planned: bytes, stepOperations, operations, recomputed } = plan;
    const row = find(cell.method);
    return {
      approach: label + (recomputed ? " *" : ""),
      parameters: whole(parameters.total),
      trained: whole(parameters.trainable),
      ...published && {
        "published %": row?.accuracy.toFixed(1) ?? "–",
        "trained there": row?.trainable === undefined ? "–" : whole(row.trainable),
      },
      weights: bytesText(bytes.weights),
      trainable: bytesText(bytes.trainable),
      optimizer: bytesText(bytes.optimizer),
      activations: bytesText(bytes.activations),
      ...keeps && { kept: bytes.kept === undefined ? "–" : bytesText(bytes.kept) },
      "in all": bytesText(bytes.peakBytes),
      "FLOP/step": stepOperations === 0 ? "–" : scientific(stepOperations),
      "FLOP/run": scientific(operations),
    };
  });
  const head = Object.keys(rows[0]) as (keyof typeof rows[0])[];
  return textColumns(
    [head, ...rows.map((row) => head.map((name) => row[name]!))],
    head.map((_, i) => i > 0),
  );
}

function notes(
  planned: readonly PlannedGroup[],
  budget: number | null,
  published?: PublishedTable,
): string[] {
  const over = planned.filter(({ plan }) => budget !== null && plan.planned.peakBytes > budget);
  return [
    ...(planned.some(({ plan }) => plan.recomputed)
      ? ["* The backward pass computes the blocks' insides again."]
      : []),
    ...(planned.some(({ plan }) => plan.planned.kept !== undefined)
      ? ["Kept: what no training changes, computed once for each example and counted once."]
      : []),
    ...(published ? [`Published: ${published.source}; ${published.measured}.`] : []),
    ...over.map(({ label }) =>
      `Over the budget of ${bytesText(budget!)}: ${label}; raise --memory, lower --batch or ` +
      `--max-length`
    ),
  ];
}

async function configOf(base: string): Promise<RawConfig> {
  const hub = parseHubBase(base);
  if (hub !== null) {
    const folder = await fetchedFolder("model", hub);
    if (folder !== null) return await readConfig(folder);
    const known = hubConfig(hub);
    if (known === undefined) throw missingBase(hub);
    return known;
  }
  if (base === EMBEDDED) {
    return (await import("../data/embedded/base.ts")).embeddedBase().config;
  }
  return await readConfig(base);
}

async function sizeOf(experiment: ResolvedExperiment): Promise<DataSize> {
  const published = parsePublishedData(experiment.data);
  if (published === null) {
    const { labels, train, validation } = await openData(experiment);
    return { name: experiment.data, labels, train: train.length, validation: validation.length };
  }
  const { split } = experiment;
  if (split === null) return published;
  const validation = Math.round(published.train * split);
  return { ...published, train: published.train - validation, validation };
}

function whole(count: number): string {
  return count.toLocaleString("en");
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : name.endsWith("h") ? "es" : "s"}`;
}

function scientific(operations: number): string {
  return operations.toExponential(2).replace("e+", "e");
}
