/** Damaged folders of runs, down to the tables made of them; damaged experiments. */

import { experimentFromArgs } from "../../lib/sweep/flags.ts";
import { methods } from "../../lib/peft/index.ts";
import { openExport } from "../../lib/sweep/open_export.ts";
import { readRuns } from "../../lib/report/read_runs.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { sweep } from "../../lib/sweep/experiment.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { openRun, publishRun, readRun, writeError } from "../../lib/sweep/run_folder.ts";
import { writeStopped } from "../../lib/sweep/stopped.ts";
import { writeSweepRecord } from "../../lib/sweep/sweep_record.ts";
import { buildTable } from "../../lib/sweep/table.ts";
import { tableCsv, tableMarkdown, tableText } from "../../lib/sweep/table_format.ts";
import { tableTex } from "../../lib/sweep/table_tex.ts";
import { openTuned, readPlaces, writePlaces } from "../../lib/sweep/tuned.ts";
import { cells, runCell } from "../sweep/fake_sweep.ts";
import { type Bytes, folderFor, fuzz, must } from "./check_reader.ts";
import { mutateBytes, mutateJson } from "./mutations.ts";

const out = folderFor("runs");
const described = cells({ methods: "full lora:rank=2", settings: { epochs: 2 } })
  .map((cell) => ({
    id: cellId(cell),
    approach: cell.method.name,
    cell,
    environment: environment(null),
  }));
const signal = new AbortController().signal;
for (const description of described) {
  const folder = `${out}/${description.id}`;
  await openRun(folder, description);
  const result = await runCell(description.cell, { onStep() {}, onEpoch() {}, signal, folder });
  await publishRun(folder, description, {
    ...result,
    splits: {
      test: {
        metrics: { examples: result.predictions.length, loss: 0.5, ...result.kept },
        predictions: result.predictions,
      },
    },
  });
}
await writeSweepRecord(out, {
  cells: described.map(({ id, approach, cell }) => ({
    id,
    approach,
    method: cell.method.name,
    seed: cell.seed,
    epochs: cell.settings.epochs,
    published: { method: "lora:rank=2", accuracy: 90, trainable: 5 },
  })),
  notes: ["one note"],
});

/** All that is made of a folder, but for charts. */
async function useRuns(): Promise<void> {
  const { runs, record, labels } = await readRuns(out);
  const table = buildTable(runs, { choose: record?.choose });
  for (const show of [tableCsv, tableMarkdown, tableText, tableTex]) {
    must(!/undefined|\[object /.test(show(table)), "a table of things that are not there");
  }
  must(table.rows.length > 0 && labels.size > 0, "no rows or labels");
}

const run = `${out}/${described[0].id}`;
const files: readonly [path: string, mutate: typeof mutateJson][] = [
  [`${run}/run.json`, mutateJson],
  [`${run}/result.json`, mutateJson],
  [`${run}/times.json`, mutateJson],
  [`${run}/metrics.jsonl`, mutateBytes],
  [`${run}/predictions.csv`, mutateBytes],
  [`${out}/sweep.json`, mutateJson],
];
for (const [path, mutate] of files) {
  const whole: Bytes = await Deno.readFile(path);
  fuzz({
    name: path.slice(path.lastIndexOf("/") + 1),
    seeds: [whole],
    mutate,
    read: async (bytes) => {
      Deno.writeFileSync(path, bytes);
      try {
        await useRuns();
      } finally {
        Deno.writeFileSync(path, whole);
      }
    },
  });
}

const failed = `${out}/failed`;
await openRun(failed, described[1]);
await writeError(failed, "Cannot train: the loss is no number");
fuzz({
  name: "error.json",
  seeds: [await Deno.readFile(`${failed}/error.json`)],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(`${failed}/error.json`, bytes);
    must(typeof (await readRun(failed))!.error === "string", "no error");
  },
});

const stopped = `${out}/stopped`;
await openRun(stopped, described[1]);
await writeStopped(stopped, {
  ...{ eta: 3, rung: 1, epoch: 2, epochs: 9, metric: "accuracy", score: 0.5 },
  dropped: { mean: 0.5, rank: 2, settings: 3 },
});
fuzz({
  name: "stopped.json",
  seeds: [await Deno.readFile(`${stopped}/stopped.json`)],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(`${stopped}/stopped.json`, bytes);
    const found = (await readRun(stopped))!;
    const table = buildTable([found]);
    must(table.rows.length === 1 && table.rows[0].error !== null, "a result from nowhere");
    for (const show of [tableCsv, tableMarkdown, tableText, tableTex]) {
      must(!/undefined|NaN/.test(show(table)), "a table of things that are not there");
    }
  },
});

await writePlaces(run, { base: `${out}/nowhere`, data: "embedded" });
fuzz({
  name: "local.json",
  seeds: [await Deno.readFile(`${run}/local.json`)],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(`${run}/local.json`, bytes);
    must(typeof (await readPlaces(run))!.base === "string", "no base");
    // No base lies there, wherever that is.
    const error = await openTuned(run).then(() => null, (error: Error) => error);
    must(error !== null, "a base that is not there was opened");
    if (!error!.message.startsWith("Cannot ")) throw error;
  },
});

const exported = `${out}/exported`;
await Deno.mkdir(exported);
fuzz({
  name: "facts of an export",
  seeds: [
    new TextEncoder().encode(JSON.stringify({ format: "peft", cell: described[0].cell })),
  ],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(`${exported}/run.tunegrid.json`, bytes);
    await openExport(exported).then(
      () => must(false, "an export without its files was opened"),
      (error) => {
        // Whole facts come as far as the base that is missing.
        if (!/give its base/.test(error.message)) throw error;
      },
    );
  },
});

const file = `${out}/experiment.json`;
fuzz({
  name: "experiment",
  seeds: [
    sweep({ methods: "lora:rank=2 full", settings: { epochs: 2, betas: [0.9, 0.99] } }),
    sweep({
      methods: [{ name: "lora", options: { rank: 4 }, settings: { learningRate: 1e-3 } }],
      axes: { learningRate: [1e-3, 1e-2] },
      labelWords: { 0: "bad", 1: "good" },
      evaluate: ["validation"],
      trainSize: 100,
    }),
  ].map((one) => new TextEncoder().encode(JSON.stringify(one))),
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(file, bytes);
    const found = await experimentFromArgs(
      ["--experiment", file],
      sweep({ methods: "full" }),
      methods,
    );
    must(found !== null && found.methods.length > 0, "no methods");
  },
});
