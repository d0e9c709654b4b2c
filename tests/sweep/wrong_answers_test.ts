import { assertEquals, assertRejects } from "@std/assert";
import { cellId } from "../../lib/sweep/cell.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { readAnsweredRun } from "../../lib/sweep/wrong_answers.ts";
import { cells, options, runCell, withFolder } from "./fake_sweep.ts";

Deno.test("readAnsweredRun() reads which examples a run got wrong, of every split", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    const wrong: Record<string, string[]> = {};
    await runSweep([cell], async (...args) => {
      const result = await runCell(...args);
      const test = result.predictions.slice(0, 10).map((one, i) => ({
        ...one,
        id: `test-${i}`,
        prediction: i % 3 === 0 ? 1 - one.label : one.label,
      }));
      wrong.validation = result.predictions
        .filter(({ label, prediction }) => label !== prediction).map(({ id }) => String(id));
      wrong.test = ["test-0", "test-3", "test-6", "test-9"];
      const { epoch: _, trainLoss: __, evalLoss: loss, ...metrics } = result.kept;
      return {
        ...result,
        splits: { test: { metrics: { ...metrics, examples: 10, loss }, predictions: test } },
      };
    }, options(folder));
    const run = await readAnsweredRun(`${folder}/${cellId(cell)}`);
    assertEquals(run?.wrong, wrong);
    assertEquals(wrong.validation.length / 20, 1 - run!.result!.kept.accuracy);
  }));

Deno.test("readAnsweredRun() does without predictions that were taken away", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    await runSweep([cell], runCell, options(folder));
    const path = `${folder}/${cellId(cell)}`;
    await Deno.remove(`${path}/predictions.csv`);
    const run = await readAnsweredRun(path);
    assertEquals([run?.wrong, run?.result?.examples], [undefined, 20]);
    assertEquals(await readAnsweredRun(`${folder}/none`), null);
    await Deno.mkdir(`${path}/predictions.csv`);
    await assertRejects(() => readAnsweredRun(path), Error, "Cannot read");
  }));
