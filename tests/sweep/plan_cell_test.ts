import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { embeddedBase } from "../../lib/data/embedded/base.ts";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { methods } from "../../lib/peft/index.ts";
import type { Cell } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { dryRun } from "../../lib/sweep/dry_run.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { expandGrid } from "../../lib/sweep/grid.ts";
import { type DataSize, planCell } from "../../lib/sweep/plan_cell.ts";
import { SST2 } from "../../lib/sweep/references.ts";
import { defaultExecution } from "../../lib/train/execution.ts";
import { gpuTest } from "../check_op.ts";
import { context } from "./fake_sweep.ts";

const SST2_SIZE: DataSize = {
  name: "SST-2",
  labels: ["0", "1"],
  train: 67_349,
  validation: 872,
};

function cellOf(method: string, settings = {}): Cell {
  const experiment = resolveExperiment(sweep({ methods: method, settings }), methods);
  return expandGrid(experiment, { ...context, data: { ...context.data, trainSize: null } })[0];
}

gpuTest("a run's plan from its configuration is what the run allocates", async () => {
  const experiment = resolveExperiment(
    sweep({
      methods: "full lora:rank=2 zero_shot",
      trainSize: 40,
      settings: { epochs: 1, batchSize: 8, maxLength: 24 },
    }),
    methods,
  );
  const { cells, runCell, close } = await prepareSweep(experiment);
  const folder = await Deno.makeTempDir();
  try {
    const { labels, train, validation } = await embeddedDataset();
    const size = { name: "", labels, train: train.length, validation: validation.length };
    for (const cell of cells) {
      const { config } = embeddedBase();
      const plan = planCell(config, size, cell, defaultExecution);
      const { parameters, planned } = await runCell(cell, {
        folder,
        onStep: () => {},
        onEpoch: () => {},
        signal: new AbortController().signal,
      });
      const { peakBytes: _, recomputed, operations = 0, ...bytes } = planned;
      const { peakBytes, ...own } = plan.planned;
      assertEquals([plan.parameters, own], [parameters, bytes], cell.method.name);
      assertEquals(recomputed, plan.recomputed);
      // Batches are shorter than the longest that the plan counts with.
      const most = plan.steps * plan.stepOperations;
      assert(operations <= most && operations >= 0.3 * most, `${operations} of ${most}`);
      // The launches' parameters, and constants of shorter buckets, are beyond the plan.
      assert(peakBytes < planned.peakBytes && peakBytes > 0.8 * planned.peakBytes);
    }
  } finally {
    close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a step's operations are three times the forward pass's where all trains, fewer with LoRA", () => {
  const config = knownConfigs["bert-base-uncased"];
  const plan = (method: string, keepFeatures: "auto" | "never" = "never") =>
    planCell(config, SST2_SIZE, cellOf(method), { ...defaultExecution, keepFeatures });
  const [full, lora, head] = ["full:lr=1e-4", "lora", "head"].map((method) => plan(method));
  // 2 operations for each parameter of the blocks and token, and as many again for both gradients.
  const tokens = 32 * 128;
  const blocks = 12 * (4 * 768 ** 2 + 2 * 768 * 3072);
  const attention = 12 * 4 * tokens * 128 * 768;
  const forward = 2 * blocks * tokens + attention;
  const close = (found: number, expected: number) =>
    assert(Math.abs(found / expected - 1) < 0.03, `${found} is not near ${expected}`);
  close(full.stepOperations, 3 * forward);
  close(lora.stepOperations, 2 * forward + attention);
  close(head.stepOperations, forward);
  assertEquals(full.steps, 3 * Math.ceil(67_349 / 32));
  // With all before the head kept, the blocks run once for each example, here and in evaluation.
  const kept = plan("head", "auto");
  assert(kept.stepOperations < 1e-4 * forward);
  close(kept.operations, (Math.ceil(67_349 / 32) + Math.ceil(872 / 32)) * forward);
  const rows = 32 * (Math.floor(67_349 / 32) + 1 + Math.floor(872 / 32) + 1);
  assertEquals([kept.planned.kept, head.planned.kept], [rows * 768 * 4, undefined]);
  assertEquals(plan("full:lr=1e-4", "auto"), full);
});

Deno.test("a budget makes a plan recompute, and the dry run says so", async () => {
  const config = knownConfigs["t5-small"];
  const cell = cellOf("lora");
  const kept = planCell(config, SST2_SIZE, cell, defaultExecution);
  const budget = { recompute: "auto", memory: kept.planned.peakBytes - 1 } as const;
  const again = planCell(config, SST2_SIZE, cell, budget);
  assertEquals([kept.recomputed, again.recomputed], [false, true]);
  assert(again.planned.activations < kept.planned.activations / 2);
  assert(again.stepOperations > 1.2 * kept.stepOperations);
  const base = "hf:google-t5/t5-small@main";
  const shown = async (memory: number) =>
    await dryRun(resolveExperiment(sweep({ base, data: SST2, methods: "lora", memory }), methods));
  assertStringIncludes(await shown(budget.memory), "\nLoRA, rank 8 *");
  assertStringIncludes(await shown(1e6), "Over the budget of 1 MB: LoRA, rank 8; raise --memory");
});

Deno.test("a dry run refuses what a run refuses", async () => {
  const base = "hf:google-bert/bert-base-uncased@main";
  const cases = [
    [{ task: "text-to-text" }, "it classifies by a head alone"],
    [{ trainSize: 10 ** 8 }, "Cannot sample 100000000 training examples: there are 67349"],
    [{ methods: "full prefix:tokens=512" }, "Cannot put 512 tokens in front of a text"],
    [{ methods: "full lora:targets=q" }, 'target "q" matches no layer'],
  ] as const;
  for (const [changes, message] of cases) {
    const experiment = sweep({ base, data: SST2, methods: "full", ...changes });
    await assertRejects(
      () => dryRun(resolveExperiment(experiment, methods)),
      RangeError,
      message,
    );
  }
});

Deno.test("micro-batches lower the plan, and not the operations of a step", () => {
  const config = knownConfigs["bert-tiny"];
  const plan = (settings: object) =>
    planCell(config, SST2_SIZE, cellOf("full:lr=1e-4", settings), defaultExecution);
  const [whole, parts] = [plan({}), plan({ microBatch: 8 })];
  assert(parts.planned.activations < 0.3 * whole.planned.activations);
  assert(Math.abs(parts.stepOperations / whole.stepOperations - 1) < 0.01);
});
