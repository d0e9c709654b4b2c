/** Training that goes on from a saved delta: its values, its own cell, and what is refused. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { methods } from "../../lib/peft/index.ts";
import type { Cell } from "../../lib/sweep/cell.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { type Experiment, resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { exportRun } from "../../lib/sweep/export.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { fineTune } from "../../lib/sweep/fine_tune.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { openTuned, type Tuned } from "../../lib/sweep/tuned.ts";
import { options, withFolder } from "./fake_sweep.ts";

/** Trains one cell. */
async function trained(partial: Partial<Experiment> & { methods: string; out: string }): Promise<
  { run: Tuned; cell: Cell }
> {
  const experiment = sweep({
    trainSize: 32,
    evaluate: ["validation"],
    ...partial,
    settings: { epochs: 1, batchSize: 16, maxLength: 24, ...partial.settings },
  });
  const prepared = await prepareSweep(resolveExperiment(experiment, methods));
  try {
    await runSweep(prepared.cells, prepared.runCell, {
      ...options(partial.out),
      label: ({ name }) => name,
    });
  } finally {
    prepared.close();
  }
  const [cell] = prepared.cells;
  return { run: await openTuned(`${partial.out}/${cellId(cell)}`), cell };
}

/** A rate so small that no sum of it with a weight moves in f32. */
const STANDSTILL = { learningRate: 1e-30, weightDecay: 0 };

Deno.test("training goes on from a saved delta's values", async () => {
  await withFolder(async (out) => {
    for (
      const [spec, formats] of [
        ["lora:rank=2", ["peft", "safetensors"]],
        ["lora:rank=2;init=pissa", ["safetensors"]],
        ["adapter:semantics=adapterhub;bottleneck=2", ["adapterhub"]],
      ] as const
    ) {
      const first = await trained({ methods: spec, out });
      for (const to of formats) {
        const start = `${out}/exports/${spec}-${to}`;
        await exportRun(first.run, { to, out: start });
        const still = await trained({
          methods: spec,
          out,
          start,
          settings: STANDSTILL,
          seeds: [5],
        });
        for (const { name } of first.run.attached.trainable) {
          const values = first.run.values.get(name)!;
          assert(values.some((value) => value !== 0), name);
          // A value of exactly zero takes even the smallest step.
          const now = still.run.values.get(name)!.map((value, i) => values[i] === 0 ? 0 : value);
          assertEquals(now, values.map((value) => value === 0 ? 0 : value), `${spec}: ${name}`);
        }
        // Another cell than without a start, and another than with another start.
        const { start: about, ...rest } = still.cell;
        assertEquals(about!.name, `${spec}-${to}`);
        assertNotEquals(cellId(rest), cellId(still.cell));
        const other = { ...rest, start: { ...about!, digest: "0".repeat(64) } };
        assertNotEquals(cellId(other), cellId(still.cell));
      }
    }
  });
});

Deno.test("fineTune() goes on from a saved delta too", async () => {
  await withFolder(async (out) => {
    const method = "lora:rank=1";
    const { run } = await trained({ methods: method, out });
    await exportRun(run, { to: "peft", out: `${out}/exports/lora` });
    await using tuned = await fineTune({
      ...{ base: await openBase("embedded"), data: embeddedDataset(), method, trainSize: 16 },
      settings: { ...STANDSTILL, epochs: 1, batchSize: 16, maxLength: 24 },
      start: `${out}/exports/lora`,
    });
    for (const { name } of run.attached.trainable) {
      assertEquals(tuned.tuned.values.get(name), run.values.get(name), name);
    }
  });
});

Deno.test("a start of another method, of other options or of other sizes is refused", async () => {
  await withFolder(async (out) => {
    const { run } = await trained({ methods: "lora:rank=2;alpha=8", out });
    const start = `${out}/exports/lora`;
    await exportRun(run, { to: "peft", out: start });
    const refused: [string, string][] = [
      ["ia3", "Cannot start ia3 from lora: it holds lora; use --methods lora"],
      ["lora:rank=2", "with alpha 16 from lora: it has alpha 8; use that"],
      ["lora:rank=2;alpha=8;init=pissa", 'with init "pissa" from lora: it has init "default"'],
      ["lora:rank=2;alpha=8;dora=true", "with dora true from lora: it has dora false"],
      ["lora:rank=4;alpha=8", "lora_A.weight is [2,"],
      ["lora:rank=2;alpha=8;targets=k+v", "is missing"],
      ["lora:rank=2;alpha=8 zero_shot", "Cannot start zero_shot from lora"],
    ];
    for (const [methods_, message] of refused) {
      const experiment = sweep({ methods: methods_, trainSize: 32, start, out });
      await assertRejects(
        () => prepareSweep(resolveExperiment(experiment, methods)),
        Error,
        message,
      );
    }
    const nothing = sweep({ methods: "lora", start: out, out });
    await assertRejects(
      () => prepareSweep(resolveExperiment(nothing, methods)),
      Error,
      "it holds no delta",
    );
  });
});
