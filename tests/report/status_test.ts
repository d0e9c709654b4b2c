import { assertEquals, assertStringIncludes } from "@std/assert";
import { type CellStatus, readStatus, secondsLeft, statusText } from "../../lib/report/status.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { openRun, writeError } from "../../lib/sweep/run_folder.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { writeSweepRecord } from "../../lib/sweep/sweep_record.ts";
import { cells, options, runCell, withFolder } from "../sweep/fake_sweep.ts";

Deno.test("readStatus() tells done, failed, running, stopped and missing cells apart", () =>
  withFolder(async (folder) => {
    const sweep = cells({ methods: "full lora", seeds: [0, 1, 2] });
    const describe = (i: number) => {
      const cell = sweep[i];
      const { environment } = options(folder);
      return { id: cellId(cell), approach: cell.method.name, cell, environment };
    };
    const open = (i: number) => openRun(`${folder}/${describe(i).id}`, describe(i));
    await runSweep(sweep.slice(0, 1), runCell, options(folder));
    for (const i of [1, 2, 3]) await open(i);
    await writeError(`${folder}/${describe(1).id}`, "Cannot go on");
    const long = new Date(Date.now() - 3_600_000);
    await Deno.utime(`${folder}/${describe(3).id}/run.json`, long, long);
    const states = async () =>
      (await readStatus(folder, Date.now())).cells.map(({ state }) => state).sort();
    assertEquals(await states(), ["done", "failed", "running", "stopped"]);

    await writeSweepRecord(folder, {
      notes: [],
      cells: sweep.slice(1).map((cell) => ({
        id: cellId(cell),
        approach: cell.method.name,
        method: cell.method.name,
        seed: cell.seed,
        epochs: 3,
        published: null,
      })),
    });
    const status = await readStatus(folder, Date.now());
    assertEquals(status.cells.map(({ state }) => state), [
      ...["failed", "running", "stopped", "missing", "missing"],
    ]);
    assertEquals([status.others, status.planned], [1, true]);
    const text = statusText(status);
    assertStringIncludes(text, "5 cells: 1 running, 1 failed, 1 stopped, 2 missing");
    assertStringIncludes(text, "Cannot go on");
    assertStringIncludes(text, "1 other runs in the folder");
    // Tried again after it failed: at work, until it fails again.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await open(1);
    assertEquals((await readStatus(folder, Date.now())).cells[0].state, "running");
  }));

Deno.test("secondsLeft() goes by the same approach, and shares the rest among what runs", () => {
  const cell = (
    state: CellStatus["state"],
    approach: string,
    seconds: number | null,
    epoch = 0,
  ) => ({
    ...{ id: "", seed: 0, accuracy: null, age: null, error: null, epochs: 4 },
    ...{ state, approach, seconds, epoch },
  });
  assertEquals(secondsLeft([cell("missing", "a", null)]), null);
  assertEquals(secondsLeft([cell("done", "a", 10), cell("missing", "a", null)]), 10);
  const mixed = [cell("done", "a", 10), cell("done", "b", 30), cell("missing", "b", null)];
  assertEquals(secondsLeft(mixed), 30);
  assertEquals(secondsLeft([...mixed, cell("running", "c", 6, 2), cell("running", "a", 4)]), 21);
  assertEquals(secondsLeft([cell("done", "a", 10)]), 0);
});
