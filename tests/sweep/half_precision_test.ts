import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { writeTable } from "../../lib/sweep/table.ts";
import { options, withFolder } from "./fake_sweep.ts";

Deno.test("a cell in f16 beside its twin in f32: metrics, plan and table", async () => {
  await withFolder(async (folder) => {
    const ids: string[] = [];
    const results = [];
    for (const precision of ["f32", "f16"] as const) {
      const experiment = sweep({
        methods: "lora:rank=8;alpha=16;dropout=0.1",
        settings: { epochs: 2, batchSize: 16 },
        trainSize: 64,
        precision,
        out: folder,
      });
      const prepared = await prepareSweep(resolveExperiment(experiment, methods));
      try {
        const settings = options(folder);
        await runSweep(prepared.cells, prepared.runCell, { ...settings, label: () => "LoRA" });
        assertEquals(settings.outcomes.map(({ kind }) => kind), ["done"]);
      } finally {
        prepared.close();
      }
      const [id] = prepared.cells.map(cellId);
      ids.push(id);
      const lines = (await Deno.readTextFile(`${folder}/${id}/metrics.jsonl`)).trim().split("\n");
      const result = JSON.parse(await Deno.readTextFile(`${folder}/${id}/result.json`));
      results.push({ epochs: lines.map((line) => JSON.parse(line)), result });
    }
    const [full, half] = results;
    assertEquals(full.epochs.map(({ lossScale }) => lossScale), [undefined, undefined]);
    assertEquals(half.epochs.length, 2);
    for (const { lossScale, skippedSteps } of half.epochs) {
      assert(skippedSteps >= 0 && skippedSteps < 4, `${skippedSteps} of 8 steps skipped`);
      assertEquals(lossScale, 65536 * 0.5 ** skippedSteps);
    }
    assertEquals(half.result.last.lossScale, half.epochs[1].lossScale);
    assert(Math.abs(half.epochs[1].evalLoss - full.epochs[1].evalLoss) < 0.02);
    assert(half.result.planned.weights < 0.52 * full.result.planned.weights);
    assert(half.result.planned.activations < 0.8 * full.result.planned.activations);
    assertEquals(half.result.planned.trainable, full.result.planned.trainable);
    const table = await writeTable(folder, ids);
    for (const name of ["LoRA, precision f32", "LoRA, precision f16"]) {
      assertStringIncludes(table, name);
    }
    const { lossScale, skippedSteps } = half.epochs[1];
    assertStringIncludes(
      table.replace(/\s+/g, " "),
      `${skippedSteps} steps a run were skipped because gradients overflowed, and the loss scale ` +
        `ended at ${lossScale}.`,
    );
  });
});
