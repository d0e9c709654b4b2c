import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type CellStatus, readStatus, secondsLeft, statusText } from "../../lib/report/status.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { claimRun } from "../../lib/sweep/claim.ts";
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
    const at = async (i: number, seconds: number) => {
      const path = `${folder}/${describe(i).id}/claim-1.json`;
      const since = "2026-01-02T03:04:05.678Z";
      await Deno.writeTextFile(path, JSON.stringify({ token: "x", host: "node-7", since }));
      const time = new Date(Date.now() - 1000 * seconds);
      await Deno.utime(path, time, time);
    };
    await at(2, 4);
    await at(3, 40);
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
    assertMatch(text, /on node-7, since 2026-01-02 03:04 UTC, heartbeat \d+\.\d s ago/);
    assertMatch(text, /will be taken over; last sign 4\d\.\d s ago/);
    assertStringIncludes(text, "1 other runs in the folder");
    // Tried again after it failed: at work, until it fails again.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await open(1);
    const claim = (await claimRun(`${folder}/${describe(1).id}`))!;
    const [again] = (await readStatus(folder, Date.now())).cells;
    assertEquals([again.state, again.claim?.host], ["running", Deno.hostname()]);
    await claim.release(); // Interrupted: it holds no result, and nobody runs it.
    const left = (await readStatus(folder, Date.now())).cells[0];
    assertEquals([left.state, left.claim], ["stopped", null]);
    // Claimed, and not yet begun.
    const early = (await claimRun(`${folder}/${describe(4).id}`))!;
    assertEquals((await readStatus(folder, Date.now())).cells[3].state, "running");
    await early.release();
  }));

Deno.test("secondsLeft() goes by the same approach, and shares the rest among what runs", () => {
  const cell = (
    state: CellStatus["state"],
    approach: string,
    seconds: number | null,
    epoch = 0,
    pid?: number,
  ) => ({
    ...{ id: "", seed: 0, accuracy: null, age: null, error: null, epochs: 4 },
    ...{ state, approach, seconds, epoch },
    claim: pid === undefined ? null : { host: "node-7", pid, since: null, age: 1, live: true },
  });
  assertEquals(secondsLeft([cell("missing", "a", null)]), null);
  assertEquals(secondsLeft([cell("done", "a", 10), cell("missing", "a", null)]), 10);
  const mixed = [cell("done", "a", 10), cell("done", "b", 30), cell("missing", "b", null)];
  assertEquals(secondsLeft(mixed), 30);
  assertEquals(secondsLeft([...mixed, cell("running", "c", 6, 2), cell("running", "a", 4)]), 21);
  assertEquals(secondsLeft([cell("done", "a", 10)]), 0);
  // Three cells in one program: half of it took 6 s.
  const packed = [1, 2, 3].map(() => cell("running", "c", 6, 2, 41));
  assertEquals(secondsLeft(packed), 6);
  assertEquals(secondsLeft([...packed, cell("missing", "a", null), cell("done", "a", 10)]), 16);
  assertEquals(secondsLeft([...packed, cell("running", "a", 4, 0, 42), cell("done", "a", 10)]), 6);
});
