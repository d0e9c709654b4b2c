import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { cellId } from "../../lib/sweep/cell.ts";
import type { RunCell, RunPack } from "../../lib/sweep/run_cell.ts";
import { claimRun } from "../../lib/sweep/claim.ts";
import { openOut } from "../../lib/sweep/run_folder.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { writeTable } from "../../lib/sweep/table.ts";
import { cells, files, options, runCell, withFolder } from "./fake_sweep.ts";

const methods = "zero_shot full:lr=0.5 lora:rank=1,8;lr=0.2";

/** Runs cells and keeps the ids that were really run. */
function counting(run: RunCell): { runCell: RunCell; ran: string[] } {
  const ran: string[] = [];
  return {
    ran,
    runCell: (cell, hooks) => {
      ran.push(cellId(cell));
      return run(cell, hooks);
    },
  };
}

Deno.test("runSweep() twice gives the same bytes in every file that holds no time", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods, seeds: [0, 1] });
    for (const name of ["a", "b"]) {
      const summary = await runSweep(grid, runCell, options(`${folder}/${name}`));
      assertEquals(summary, { done: 8, skipped: 0, failed: 0 });
    }
    const [a, b] = [await files(`${folder}/a`), await files(`${folder}/b`)];
    const names = ["metrics.jsonl", "predictions.csv", "result.json", "run.json", "times.json"];
    const expected = grid.flatMap((cell) => names.map((name) => `${cellId(cell)}/${name}`));
    assertEquals(Object.keys(a).sort(), expected.sort());
    for (const path of expected) if (!path.endsWith("times.json")) assertEquals(a[path], b[path]);
  }));

Deno.test("runSweep() writes what happened", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full:lr=0.5;epochs=2" });
    await runSweep([cell], runCell, options(folder));
    const run = await files(`${folder}/${cellId(cell)}`);
    const description = JSON.parse(run["run.json"]);
    assertEquals(description.cell, cell);
    assertEquals(description.environment.deno, Deno.version.deno);
    const lines = run["metrics.jsonl"].trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ epoch }) => epoch), [1, 2]);
    const result = JSON.parse(run["result.json"]);
    assertEquals(result.last, lines[1]);
    const [head, ...rows] = run["predictions.csv"].trimEnd().split("\r\n");
    assertEquals(head, "id,label,prediction,score 0,score 1");
    assertEquals(rows.length, result.examples);
    const right = rows.filter((row) => row.split(",")[1] === row.split(",")[2]).length;
    assertEquals(right / rows.length, result.last.accuracy);
  }));

Deno.test("runSweep() does only what is missing", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods });
    await runSweep(grid.slice(0, 2), runCell, options(folder));
    const before = await files(folder);
    const { runCell: run, ran } = counting(runCell);
    const summary = await runSweep(grid, run, options(folder));
    assertEquals(summary, { done: 2, skipped: 2, failed: 0 });
    assertEquals(ran, grid.slice(2).map(cellId));
    const after = await files(folder);
    for (const [path, text] of Object.entries(before)) assertEquals(after[path], text);
  }));

Deno.test("runSweep() begins no cell after its budget, and lets methods take turns", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "lora:rank=1,8 full", seeds: [0, 1] });
    await runSweep(grid.slice(-1), runCell, options(folder)); // done before, and counted
    const { runCell: run, ran } = counting(async (...args) => {
      const result = await runCell(...args);
      if (ran.length === 3) await new Promise((resolve) => setTimeout(resolve, 2000));
      return result;
    });
    const summary = await runSweep(grid, run, { ...options(folder), budget: 2 });
    assertEquals(summary, { done: 3, skipped: 1, failed: 0 });
    const [first, second, , , full] = grid.map(cellId);
    assertEquals(ran, [first, full, second]);
    assertEquals(
      Object.keys(await files(folder)).some((path) => path.startsWith(cellId(grid[2]))),
      false,
    );
  }));

Deno.test("runSweep() keeps a failure visible and tries it again", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods });
    const failing: RunCell = (cell, hooks) => {
      if (cell.method.options.rank !== 1) return runCell(cell, hooks);
      throw new RangeError("Cannot plan the run: 12 bytes are missing; lower --batch");
    };
    const first = options(folder);
    assertEquals(await runSweep(grid, failing, first), { done: 3, skipped: 0, failed: 1 });
    assertEquals(first.outcomes.map(({ kind }) => kind), ["done", "done", "failed", "done"]);
    const id = cellId(grid[2]);
    const error = JSON.parse((await files(folder))[`${id}/error.json`]);
    assertStringIncludes(error.message, "12 bytes are missing");
    assertStringIncludes(await writeTable(folder, grid.map(cellId)), "12 bytes are missing");

    assertEquals(await runSweep(grid, runCell, options(folder)), {
      done: 1,
      skipped: 3,
      failed: 0,
    });
    assertEquals(`${id}/error.json` in await files(folder), false);
  }));

Deno.test("runSweep() takes a run that diverged, or does not fit its task, for a failure", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    const broken: [string, (result: Awaited<ReturnType<RunCell>>) => unknown][] = [
      ["trainLoss of epoch 1 is NaN", (r) => ({ epochs: [{ ...r.epochs[0], trainLoss: NaN }] })],
      ["it has no epoch", () => ({ epochs: [] })],
      ["does not fit 2 classes", (r) => ({ predictions: [{ ...r.predictions[0], label: 2 }] })],
      ["does not fit 2 classes", (r) => ({ predictions: [{ ...r.predictions[0], scores: [1] }] })],
    ];
    for (const [message, change] of broken) {
      const bad: RunCell = async (...args) => {
        const result = await runCell(...args);
        return { ...result, ...change(result) as object };
      };
      const found = options(folder);
      assertEquals((await runSweep([cell], bad, found)).failed, 1);
      const [outcome] = found.outcomes;
      assertStringIncludes(outcome.kind === "failed" ? outcome.message : "", message);
    }
  }));

Deno.test("runSweep() stops at an abort and leaves nothing half-written", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods });
    const controller = new AbortController();
    const stopping: RunCell = (cell, hooks) =>
      runCell(cell, {
        ...hooks,
        onEpoch(metrics) {
          hooks.onEpoch(metrics);
          if (cell === grid[1]) controller.abort(new Error("asked to stop"));
        },
      });
    const found = options(folder, controller.signal);
    await assertRejects(() => runSweep(grid, stopping, found), Error, "asked to stop");
    assertEquals(found.outcomes.map(({ kind }) => kind), ["done", "interrupted"]);
    const left = Object.keys(await files(folder)).filter((path) =>
      path.startsWith(cellId(grid[1]))
    );
    assertEquals(left.sort(), ["metrics.jsonl", "run.json"].map((n) => `${cellId(grid[1])}/${n}`));
    assertEquals((await runSweep(grid, runCell, options(folder))).done, 3);
  }));

Deno.test("runSweep() keeps the first of two results for the same cell", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    const path = `${folder}/${cellId(cell)}/result.json`;
    const late: RunCell = async (...args) => {
      const result = await runCell(...args);
      await Deno.writeTextFile(path, "{}"); // Another process was faster.
      return result;
    };
    await runSweep([cell], late, options(folder));
    assertEquals(await Deno.readTextFile(path), "{}");
  }));

Deno.test("runSweep() removes what a killed writer left, but not what may still be written", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    const run = `${folder}/${cellId(cell)}`;
    await Deno.mkdir(run);
    for (const name of [".result.json.old.tmp", ".result.json.new.tmp"]) {
      await Deno.writeTextFile(`${run}/${name}`, '{"half');
    }
    const old = new Date(Date.now() - 3_600_000);
    await Deno.utime(`${run}/.result.json.old.tmp`, old, old);
    await runSweep([cell], runCell, options(folder));
    const left = Object.keys(await files(run)).filter((name) => name.endsWith(".tmp"));
    assertEquals(left, [".result.json.new.tmp"]);
  }));

/** Runs cells of equal seeds "in one program", and keeps the ids of each. */
function packing(run: RunCell, most = 8): { runPack: RunPack; packs: string[][] } {
  const packs: string[][] = [];
  return {
    packs,
    runPack: {
      most,
      key: ({ method, seed }) => method.name === "zero_shot" ? null : `${seed}`,
      run: (own) => {
        packs.push(own.map(({ cell }) => cellId(cell)));
        return own.map(async ({ cell, hooks }) => await run(cell, hooks));
      },
    },
  };
}

Deno.test("runSweep() runs what may share a program in one, and leaves what it leaves alone", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods, seeds: [0, 1] });
    const [alone, ids] = [options(`${folder}/alone`), grid.map(cellId)];
    await runSweep(grid, runCell, alone);
    const { runCell: run, ran } = counting(runCell);
    const { runPack, packs } = packing(runCell, 2);
    const places: number[] = [];
    const packed = options(`${folder}/packed`);
    packed.reporter.end = ({ number }) => Promise.resolve(void places.push(number));
    const summary = await runSweep(grid, run, { ...packed, runPack });
    assertEquals(summary, { done: 8, skipped: 0, failed: 0 });
    // Zero-shot by itself; of each seed two, and the third, which has no mate left.
    assertEquals(packs, [[ids[2], ids[4]], [ids[3], ids[5]]]);
    assertEquals(ran, [ids[0], ids[1], ids[6], ids[7]]);
    assertEquals(places, [1, 2, 3, 5, 4, 6, 7, 8]);
    const [a, b] = [await files(`${folder}/alone`), await files(`${folder}/packed`)];
    assertEquals(Object.keys(a).sort(), Object.keys(b).sort());
    for (const path of Object.keys(a)) {
      if (!path.endsWith("times.json")) assertEquals(a[path], b[path]);
    }
  }));

Deno.test("runSweep() fills a program past cells that are done, or that others run", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "lora:rank=1,2,3,4,5" });
    await runSweep(grid.slice(1, 2), runCell, options(folder));
    const claim = (await claimRun(`${folder}/${cellId(grid[2])}`))!;
    let released: Promise<void> | null = null;
    const { runPack, packs } = packing(async (cell, hooks) => {
      const result = await runCell(cell, hooks);
      await (released ??= claim.release()); // So that the one that waits for it goes on.
      return result;
    }, 3);
    const found = options(folder);
    const summary = await runSweep(grid, runCell, { ...found, runPack });
    assertEquals(summary, { done: 4, skipped: 1, failed: 0 });
    assertEquals(packs, [[0, 3, 4].map((i) => cellId(grid[i]))]);
  }));

Deno.test("runSweep() fails a cell alone, and leaves no claim where a program is stopped", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "lora:rank=1,2,3" });
    const { runPack } = packing((cell, hooks) => {
      if (cell !== grid[1]) return runCell(cell, hooks);
      throw new RangeError("Cannot go on");
    });
    const found = options(folder);
    await runSweep(grid, runCell, { ...found, runPack });
    assertEquals(found.outcomes.map(({ kind }) => kind), ["done", "failed", "done"]);

    const controller = new AbortController();
    const stopped = options(`${folder}/stopped`, controller.signal);
    const slow = packing(async (cell, hooks) => {
      await runCell(cell, hooks);
      controller.abort(new Error("asked to stop"));
      throw controller.signal.reason;
    });
    await assertRejects(
      () => runSweep(grid, runCell, { ...stopped, runPack: slow.runPack }),
      Error,
      "asked to stop",
    );
    const left = Object.keys(await files(`${folder}/stopped`)).map((path) => path.split("/")[1]);
    assertEquals([...new Set(left)].sort(), ["metrics.jsonl", "run.json"]);
  }));

Deno.test("runSweep() begins no program after its budget; one takes methods in turns", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "lora:rank=1,2,3 full", seeds: [0] });
    const { runPack, packs } = packing(async (cell, hooks) => {
      const result = await runCell(cell, hooks);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return result;
    }, 2);
    const summary = await runSweep(grid, runCell, { ...options(folder), runPack, budget: 1 });
    assertEquals(summary, { done: 2, skipped: 0, failed: 0 });
    assertEquals(packs, [[0, 3].map((i) => cellId(grid[i]))]);
  }));

Deno.test("runSweep() packs cells of one rung where it halves", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "lora:rank=1,2,3,4;epochs=4", choose: ["rank"] });
    const halving = { eta: 2, choose: ["rank"] };
    const [alone, packed] = [options(`${folder}/alone`), options(`${folder}/packed`)];
    const first = await runSweep(grid, runCell, { ...alone, halving });
    const { runPack, packs } = packing(runCell);
    assertEquals(await runSweep(grid, runCell, { ...packed, halving, runPack }), first);
    assertEquals(packs[0].length, 4);
    assertEquals(packs[1].length, 2);
    const [a, b] = [await files(`${folder}/alone`), await files(`${folder}/packed`)];
    assertEquals(Object.keys(a).sort(), Object.keys(b).sort());
  }));

Deno.test("openOut() names the folder that cannot be written", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    const error = await assertRejects(() => openOut(`${folder}/file/runs`), Error);
    assertMatch(error.message, /^Cannot write runs to .*file\/runs: .*; choose another folder/);
    await openOut(`${folder}/new/runs`);
    assertEquals(await files(folder), { file: "" });
  }));
