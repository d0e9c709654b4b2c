/** A run opened again holds the weights that it kept: scored anew, they give its predictions. */

import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { parse } from "@std/csv/parse";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { methods } from "../../lib/peft/index.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { openTuned } from "../../lib/sweep/tuned.ts";
import { softmax } from "../../lib/train/metrics.ts";
import { makeTask } from "../../lib/train/task.ts";
import { train } from "../../lib/train/trainer.ts";
import { options, withFolder } from "./fake_sweep.ts";

Deno.test("openTuned() gives back what a run kept", async () => {
  await withFolder(async (out) => {
    const experiment = sweep({
      methods: "zero_shot head lora:init=pissa;rank=2 soft_prompt:tokens=3 full",
      trainSize: 64,
      settings: { epochs: 1, batchSize: 16 },
      evaluate: ["validation"],
      out,
    });
    const prepared = await prepareSweep(resolveExperiment(experiment, methods));
    try {
      await runSweep(prepared.cells, prepared.runCell, {
        ...options(out),
        label: ({ name }) => name,
      });
    } finally {
      prepared.close();
    }
    const { validation } = embeddedDataset();
    const gpu = await openGpu();
    try {
      for (const cell of prepared.cells) {
        const folder = `${out}/${cellId(cell)}`;
        const { model, values, tokenizer, labelWords, encode, run, attached } = await openTuned(
          folder,
        );
        for (const { name } of [...model.scope.select(), ...attached.delta.select()]) {
          assert(values.has(name), name);
        }
        const rows = parse(await Deno.readTextFile(`${folder}/predictions.csv`), {
          skipFirstRow: true,
        });
        let scores: readonly (readonly number[])[] = [];
        await train({
          gpu,
          model,
          // Nothing trains again: what was trained is among the values.
          attached: { ...attached, trainable: [] },
          task: makeTask(model, tokenizer.padId, labelWords),
          settings: cell.settings,
          seed: cell.seed,
          weights: values,
          train: [],
          validation: validation.slice(0, 40).map(({ text, label }) => ({
            ids: encode(text),
            label,
          })),
          onEpoch: (epoch) => {
            scores = epoch.scores;
          },
        });
        scores.forEach((own, i) => {
          softmax(own).forEach((p, c) => {
            const kept = Number(rows[i][`score ${cell.task.labels[c]}`]);
            assertAlmostEquals(p, kept, 1e-6, `${run.approach}, example ${i}`);
          });
        });
        assertEquals(scores.length, 40);
      }
    } finally {
      gpu.destroy();
    }
    const folder = `${out}/${cellId(prepared.cells[1])}`;
    await Deno.remove(`${folder}/result.json`);
    await assertRejects(() => openTuned(folder), Error, "it has no result; run its sweep again");
    await assertRejects(() => openTuned(`${out}/nothing`), Error, "it has no run.json");
  });
});
