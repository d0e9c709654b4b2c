import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readStatus, statusText } from "../../lib/report/status.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import type { RunCell } from "../../lib/sweep/run_cell.ts";
import { readRun } from "../../lib/sweep/run_folder.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { buildTable, writeTable } from "../../lib/sweep/table.ts";
import { tableCsv } from "../../lib/sweep/table_format.ts";
import { cells, files, options, runCell, withFolder } from "./fake_sweep.ts";

const grid = cells({
  methods: "full lora zero_shot",
  axes: { learningRate: [0.001, 0.01, 0.1, 0.5] },
  seeds: [0, 1],
  settings: { epochs: 4, metric: "loss" },
});
const halving = { eta: 2, choose: ["lr"] };

/** Runs cells and keeps which ran to where. */
function counting(): { runCell: RunCell; ran: string[] } {
  const ran: string[] = [];
  return {
    ran,
    runCell: (cell, hooks) => {
      ran.push(`${cellId(cell)} ${hooks.pauseAfter ?? "end"}`);
      return runCell(cell, hooks);
    },
  };
}

const withoutTimes = (all: Record<string, string>) =>
  Object.fromEntries(Object.entries(all).filter(([path]) => !path.endsWith("times.json")).sort());

Deno.test("a sweep that halves: survivors end as ever, the others say where they stopped", () =>
  withFolder(async (folder) => {
    const [whole, halved] = [`${folder}/whole`, `${folder}/halved`];
    await runSweep(grid, runCell, options(whole));
    const notes: string[] = [];
    const listening = options(halved);
    listening.reporter.note = (text) => notes.push(text);
    const summary = await runSweep(grid, runCell, { ...listening, halving });
    assertEquals(summary, { done: 6, skipped: 0, failed: 0, dropped: 12 });
    assertStringIncludes(notes[0], "4 settings to epoch 1, 2 to epoch 2, 1 to epoch 4 (full; ");
    assertEquals(notes.slice(1), [
      ...[
        "full: 2 of 4 settings go on from epoch 1",
        "lora rank 8: 2 of 4 settings go on from epoch 1",
      ],
      ...[
        "full: 1 of 2 settings go on from epoch 2",
        "lora rank 8: 1 of 2 settings go on from epoch 2",
      ],
    ]);
    const [all, found] = [withoutTimes(await files(whole)), withoutTimes(await files(halved))];
    const runs = await Promise.all(grid.map((cell) => readRun(`${halved}/${cellId(cell)}`)));
    for (const run of runs) {
      const names = Object.keys(found).filter((path) => path.startsWith(run!.id));
      if (run!.result !== null) {
        for (const path of names) assertEquals(found[path], all[path], path);
        assertEquals(run!.stopped, null);
        continue;
      }
      assertEquals(names.map((path) => path.split("/")[1]), [
        ...["metrics.jsonl", "run.json", "stopped.json"],
      ]);
      const { rung, epoch, epochs, metric, score, dropped } = run!.stopped!;
      const metrics = found[`${run!.id}/metrics.jsonl`].trimEnd().split("\n");
      assertEquals([epoch, epochs, metrics.length], [rung, 4, rung]);
      assertEquals([metric, score], ["loss", JSON.parse(metrics.at(-1)!).evalLoss]);
      assert(dropped!.rank > dropped!.settings / 2 && dropped!.settings === 4 / rung);
    }
    // Points are told apart the better the higher the rate.
    const rates = (state: boolean) =>
      new Set(
        runs.filter((run) => (run!.result !== null) === state && run!.approach !== "zero_shot")
          .map((run) => run!.cell.settings.learningRate),
      );
    assertEquals([rates(true), rates(false)], [new Set([0.5]), new Set([0.001, 0.01, 0.1])]);

    const table = buildTable(runs.map((run) => run!), { choose: ["lr"] });
    const shown = table.rows.filter(({ chosen }) => chosen);
    assertEquals(shown.map(({ tried, error }) => [tried, error]), [[4, null], [4, null], [
      1,
      null,
    ]]);
    const stopped = table.rows.filter((row) => row.stopped);
    assertEquals(stopped.length, 6);
    assert(
      stopped.every(({ values, seeds }) => values.lastAccuracy === null && seeds.length === 2),
    );
    const [head, ...lines] = tableCsv(table).trimEnd().split("\r\n");
    assertStringIncludes(head, "chosen,error,stopped,runs");
    assertEquals(lines.filter((line) => line.includes(",false,,")).length, 6);
    const text = await writeTable(halved, grid.map(cellId), undefined, { choose: ["lr"] });
    assertEquals(text.includes("Failed"), false);
    const flat = text.replace(/\s+/g, " ");
    assertStringIncludes(flat, "6 stopped before their last epoch, are part of no figure here");
    assertStringIncludes(
      flat,
      "full, lr 0.001: stopped after epoch 1 of 4 by halving: validation loss",
    );
    assertStringIncludes(flat, "place 2 of 2 settings");

    const status = await readStatus(halved, Date.now());
    const counts = Map.groupBy(status.cells, ({ state }) => state);
    assertEquals([counts.get("done")!.length, counts.get("dropped")!.length], [6, 12]);
    assertStringIncludes(statusText(status), "18 cells: 12 dropped, 6 done\n");

    // The same command does nothing more; without halving it ends what was stopped.
    const again = counting();
    assertEquals(await runSweep(grid, again.runCell, { ...options(halved), halving }), {
      ...{ done: 0, skipped: 6, failed: 0, dropped: 12 },
    });
    assertEquals(again.ran, []);
    assertEquals(withoutTimes(await files(halved)), { ...found, ...tables(await files(halved)) });
    assertEquals((await runSweep(grid, runCell, options(halved))).done, 12);
    const end = withoutTimes(await files(halved));
    assertEquals(
      Object.fromEntries(Object.entries(end).filter(([path]) => path.includes("/"))),
      all,
    );
  }));

const tables = (all: Record<string, string>) =>
  Object.fromEntries(Object.entries(all).filter(([path]) => path.startsWith("table.")));

Deno.test("a sweep that halves decides the same wherever it was stopped, and with others", () =>
  withFolder(async (folder) => {
    const once = counting();
    await runSweep(grid, once.runCell, { ...options(`${folder}/once`), halving });
    const expected = withoutTimes(await files(`${folder}/once`));
    const legs = once.ran.length;
    assertEquals(legs, 2 + 16 + 8 + 4);
    for (const stop of [1, 9, 18, 19, 24, 29]) {
      const out = `${folder}/stopped-${stop}`;
      const controller = new AbortController();
      const { runCell: run, ran } = counting();
      const stopping: RunCell = async (cell, hooks) => {
        if (ran.length === stop) controller.abort(new Error("stop"));
        return await run(cell, hooks);
      };
      const first = runSweep(grid, stopping, { ...options(out, controller.signal), halving });
      await first.then(() => assert(false), () => {});
      const rest = counting();
      await runSweep(grid, rest.runCell, { ...options(out), halving });
      assertEquals([...ran.slice(0, stop), ...rest.ran].sort(), once.ran.toSorted(), `${stop}`);
      assertEquals(withoutTimes(await files(out)), expected);
    }
    const both = counting();
    const out = `${folder}/both`;
    const slow: RunCell = async (cell, hooks) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return await both.runCell(cell, hooks);
    };
    const summaries = await Promise.all(
      [0, 1].map(() => runSweep(grid, slow, { ...options(out), halving })),
    );
    assertEquals(both.ran.toSorted(), once.ran.toSorted());
    assertEquals(withoutTimes(await files(out)), expected);
    for (const { done, skipped, dropped } of summaries) {
      assertEquals([done + skipped, dropped], [6, 12]);
    }
  }));

Deno.test("a sweep that halves tries failed runs again, and a budget leaves runs paused", () =>
  withFolder(async (folder) => {
    const best = grid.filter(({ settings, seed, method }) =>
      settings.learningRate === 0.5 && seed === 1 && method.name === "full"
    );
    const failing: RunCell = (cell, hooks) => {
      if (best.includes(cell)) throw new Error("Cannot allocate 9 bytes");
      return runCell(cell, hooks);
    };
    const first = await runSweep(grid, failing, { ...options(folder), halving });
    assertEquals(first, { done: 6, skipped: 0, failed: 1, dropped: 11 });
    const other = await readRun(`${folder}/${cellId(grid[6])}`);
    assertEquals([other!.cell.settings.learningRate, other!.stopped!.dropped!.rank], [0.5, 4]);
    const second = await runSweep(grid, runCell, { ...options(folder), halving });
    assertEquals(
      [second.failed, (await readRun(`${folder}/${cellId(best[0])}`))!.result !== null],
      [
        ...[0, true],
      ],
    );

    const out = `${folder}/budget`;
    const { runCell: run, ran } = counting();
    const slow: RunCell = async (cell, hooks) => {
      if (ran.length === 16) await new Promise((resolve) => setTimeout(resolve, 3000));
      return await run(cell, hooks);
    };
    await runSweep(grid, slow, { ...options(out), halving, budget: 3 });
    assertEquals(ran.length, 17);
    const { cells: states } = await readStatus(out, Date.now());
    const counts = Object.fromEntries(
      [...Map.groupBy(states, ({ state }) => state)].map(([state, own]) => [state, own.length]),
    );
    // One method is complete at its rung; of the other, one cell was not begun.
    assertEquals(counts, { paused: 11, done: 2, dropped: 4 });
    const table = await writeTable(out, grid.map(cellId), undefined, { choose: ["lr"] });
    assertStringIncludes(table, "not finished");
  }));
