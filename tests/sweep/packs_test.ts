import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dryRun } from "../../lib/sweep/dry_run.ts";
import { methods } from "../../lib/peft/index.ts";
import { type Experiment, resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { mostCells } from "../../lib/sweep/packs.ts";
import { type ExperimentOutcome, runExperiment } from "../../lib/sweep/run_experiment.ts";
import { tableMarkdown } from "../../lib/sweep/table_format.ts";
import { Verifier } from "../../lib/sweep/verify.ts";
import { withFolder } from "./fake_sweep.ts";
import { runFiles } from "./sweep_process.ts";

type Partially = Partial<Experiment> & Pick<Experiment, "methods">;

const small = {
  trainSize: 48,
  settings: { epochs: 2, batchSize: 16, maxLength: 24 },
} satisfies Partial<Experiment>;

/** Runs an experiment with and without shared programs; the folders must be equal, times aside. */
async function expectSame(folder: string, experiment: Partially): Promise<ExperimentOutcome> {
  const run = (cellsPerProgram: Experiment["cellsPerProgram"]) =>
    runExperiment({
      ...small,
      ...experiment,
      cellsPerProgram,
      out: `${folder}/${cellsPerProgram}`,
    });
  const packed = await run(8);
  await run(1);
  const [found, expected] = [await runFiles(`${folder}/8`), await runFiles(`${folder}/1`)];
  assertEquals([...found.keys()], [...expected.keys()]);
  for (const [path, text] of expected) assert(found.get(path) === text, `${path} differs`);
  return packed;
}

/** How many cells shared each run's program. */
function shares({ runs }: ExperimentOutcome): (number | undefined)[] {
  return runs.map(({ times }) => times?.sharedBy);
}

Deno.test("eight LoRA cells, ranks 1 to 64 by two rates, leave the bytes that each leaves alone", () =>
  withFolder(async (folder) => {
    const outcome = await expectSame(folder, {
      methods: "lora:rank=1,4,16,64",
      axes: { learningRate: [1e-3, 5e-3] },
    });
    assertEquals(shares(outcome), Array(8).fill(8));
    const [{ id, result, times }] = outcome.runs;
    assert(result!.planned.peakBytes < 20e6); // Its own plan's, not that of all.
    assert(times!.seconds > 0 && times!.msPerStep! > 0);
    assertStringIncludes(
      tableMarkdown(outcome.table),
      "8 of 8 runs shared programs, up to 8 in one",
    );

    const verifier = new Verifier({ signal: new AbortController().signal });
    try {
      const { verdict, inputs, differences } = await verifier.verify(`${folder}/8/${id}`);
      assertEquals([verdict, inputs, differences], ["identical", [], []]);
    } finally {
      verifier.close();
    }
  }));

Deno.test("methods side by side with two seeds, and one that diverges, leave what each leaves alone", () =>
  withFolder(async (folder) => {
    const outcome = await expectSame(folder, {
      methods: "zero_shot head:lr=1e-2,1e-3 lora:rank=2;init=pissa lora:dropout=0.2;patience=1 " +
        "adapter:bottleneck=4;keep=best adapter:bottleneck=2;lr=1e30 ia3 soft_prompt:tokens=2;lr=1e-1,1e-2 prefix",
      seeds: [0, 1],
      evaluate: ["train", "validation"],
    });
    const shared = new Map(
      outcome.runs.map(({ cell: { method: { name } }, times }) => [name, times?.sharedBy]),
    );
    assertEquals(Object.fromEntries(shared), {
      ...{ zero_shot: undefined, head: 2, lora: 5, adapter: undefined, ia3: 5, soft_prompt: 2 },
      prefix: undefined,
    });
    const failed = outcome.runs.filter(({ error }) => error !== null);
    assertEquals(failed.map(({ cell }) => cell.settings.learningRate), [1e30, 1e30]);
    assertStringIncludes(failed[0].error!, "lower the learning rate");
  }));

Deno.test("a cell that fits nowhere fails alone; the others go on in the programs that fit", () =>
  withFolder(async (folder) => {
    const run = (memory: number | null) =>
      runExperiment({
        ...small,
        methods: "adapter:bottleneck=1 lora:rank=64 adapter:bottleneck=2",
        cellsPerProgram: 4,
        ...{ memory, recompute: "never", keepFeatures: "never", out: `${folder}/${memory}` },
      });
    const free = await run(null);
    assertEquals(shares(free), [3, 3, 3]);
    const [a, lora, b] = free.runs.map(({ result }) => result!.planned.peakBytes);
    assert(Math.max(a, b) < lora);
    const tight = await run(Math.max(a, b));
    assertEquals(tight.runs.map(({ error }) => error === null), [true, false, true]);
    assertStringIncludes(tight.runs[1].error!, "memory");
    assertEquals(shares(tight), [undefined, undefined, undefined]);
  }));

Deno.test("how many cells share a program follows from what is asked, the limit and the adapter", () => {
  const most = (cellsPerProgram: Experiment["cellsPerProgram"], budget: number | null) =>
    [true, false].map((software) => mostCells({ cellsPerProgram, budget }, software));
  assertEquals(most("auto", null), [1, 16]);
  assertEquals(most("auto", 60), [1, 1]);
  assertEquals(most(5, 60), [5, 5]);
});

Deno.test("the dry run tells which cells may share a program", async () => {
  const plan = (cellsPerProgram: Experiment["cellsPerProgram"]) =>
    dryRun(resolveExperiment(
      sweep({ ...small, methods: "full lora:rank=1,2 adapter ia3", cellsPerProgram }),
      methods,
    ));
  const text = await plan(6);
  assertStringIncludes(text, "Cells that may share a program, at most 6");
  assertStringIncludes(text, "\n  4: LoRA, rank 1, LoRA, rank 2, Adapter");
  assertStringIncludes(text, "\n  Alone: 1\n");
  assert(!(await plan(1)).includes("share a program"));
});
