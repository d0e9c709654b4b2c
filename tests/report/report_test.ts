import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { parse } from "@std/csv/parse";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { paretoFront } from "../../lib/report/accuracy_chart.ts";
import { operationsText } from "../../lib/report/cost_charts.ts";
import { hardestExamples } from "../../lib/report/hardest_examples.ts";
import { embedJson, html } from "../../lib/report/html.ts";
import { reportFiles, reportMain } from "../../lib/report/main.ts";
import { reportPage } from "../../lib/report/page.ts";
import { parameterAxis } from "../../lib/report/parameter_axis.ts";
import { placeLabels, spread } from "../../lib/report/place_labels.ts";
import { flatten } from "../../lib/report/provenance.ts";
import type { ReportRow } from "../../lib/report/report_rows.ts";
import { openTexts } from "../../lib/report/texts.ts";
import { writeSweepRecord } from "../../lib/sweep/sweep_record.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { buildTable } from "../../lib/sweep/table.ts";
import { escapeTex, tableTex } from "../../lib/sweep/table_tex.ts";
import { cells, files, options, runCell, withFolder } from "../sweep/fake_sweep.ts";
import { syntheticRun, syntheticRuns } from "./synthetic_runs.ts";

const grid = () => cells({ methods: "lora:rank=1,8 full", seeds: [0, 1] });

Deno.test("a report is a function of the folders, in the order of the sweep", () =>
  withFolder(async (folder) => {
    const sweep = grid();
    await runSweep(sweep, runCell, options(folder));
    await writeSweepRecord(folder, {
      notes: ["Published: somewhere."],
      cells: sweep.map((cell) => ({
        id: cellId(cell),
        approach: cell.method.name,
        method: cell.method.name,
        seed: cell.seed,
        epochs: cell.settings.epochs,
        published: cell.method.name === "full" ? { method: "full", accuracy: 91.5 } : null,
      })),
    });
    const before = await files(folder);
    const first = await reportFiles(folder, null);
    assertEquals(await reportFiles(folder, null), first);
    assertEquals(await files(folder), before);
    const rows = parse(first["table.csv"], { skipFirstRow: true }) as Record<string, string>[];
    assertEquals(rows.map(({ approach }) => approach), ["lora rank 1", "lora rank 8", "full"]);
    assertEquals(rows.map((row) => row.published_accuracy), ["", "", "0.915"]);
    assertStringIncludes(first["table.md"], "- Published: somewhere.");
    assertStringIncludes(first["report.html"], "Published: somewhere.");
    assertEquals(await reportMain([folder, "--out", `${folder}/new`]), 0);
    const written = await files(`${folder}/new`);
    assertEquals(Object.keys(written).sort(), Object.keys(first).sort());
    for (const [name, text] of Object.entries(first)) assertEquals(written[name], text, name);
  }));

Deno.test("a folder without runs, and a run that is not done, are told", () =>
  withFolder(async (folder) => {
    await assertRejects(() => reportFiles(folder, null), Error, "it holds no run");
    await assertRejects(() => reportFiles(`${folder}/none`, null), Error, "Cannot read runs in");
    const [cell] = grid();
    const controller = new AbortController();
    const stopped = runSweep([cell], (_, hooks) => {
      controller.abort(new Error("enough"));
      return Promise.reject(hooks.signal.reason);
    }, options(folder, controller.signal));
    await assertRejects(() => stopped, Error, "enough");
    const page = (await reportFiles(folder, null))["report.html"];
    assertStringIncludes(page, "1 without a result");
    assertMatch(page, /class="failed"[^>]*>\s*not finished\s*</);
  }));

Deno.test("paretoFront() keeps what none with as few parameters beats", () => {
  const rows = [[100, 0.8], [10, 0.7], [10, 0.6], [0, 0.5], [50, 0.7], [1000, 0.9], [2000, 0.9]]
    .map(([trainable, accuracy]) => ({ trainable, accuracy }));
  assertEquals(paretoFront(rows).map(({ trainable }) => trainable), [0, 10, 100, 1000]);
});

Deno.test("hardestExamples() counts every row the same", () => {
  const row = (...errors: string[][]): ReportRow =>
    ({ runs: errors.map((validation) => ({ wrong: { validation } })) }) as unknown as ReportRow;
  const found = hardestExamples([row(["1", "2"], ["1"]), row(["2"])]);
  assertEquals(found, [
    { id: "2", wrong: [1, 1], difficulty: 0.75 },
    { id: "1", wrong: [2, 0], difficulty: 0.5 },
  ]);
});

Deno.test("labels stand beside their points, and cover nothing", () => {
  const frame = { left: 0, right: 200, top: 0, bottom: 100 };
  const point = (text: string, x: number, y: number) => ({
    text,
    x,
    y,
    top: y - 5,
    bottom: y + 5,
    color: "c",
  });
  const [right] = placeLabels([point("abc", 50, 50)], frame, 12, 9);
  assertEquals([right.x, right.anchor], [60, "start"]);
  const [left] = placeLabels([point("abcdef", 180, 50)], frame, 12, 9);
  assertEquals([left.x, left.anchor], [170, "end"]);
  const crowd = Array.from({ length: 30 }, (_, i) => point("a long label", 90 + i, 50 + i % 3));
  assert(placeLabels(crowd, frame, 12, 99).length < 8);
  assertEquals(placeLabels(crowd, frame, 12, 1).length, 1);
  assertEquals(spread([10, 10, 50], 8, 60), [10, 18, 50]);
  assertEquals(spread([58, 59], 8, 60), [52, 60]);
});

Deno.test("parameterAxis() has a place for none", () => {
  const axis = parameterAxis([0, 64, 250_000]);
  assert(axis.place(0) < 64 && axis.place(0) > 5, `${axis.place(0)}`);
  assertEquals(axis.ticks.map(axis.format), ["none", "100", "1k", "10k", "100k"]);
  assertEquals(parameterAxis([2_500_000]).ticks.map(axis.format), ["2.5M", "2.5M"]);
});

Deno.test("text never becomes markup, and LaTeX never commands", () => {
  assertEquals(html`<p>${"<b>&"}${html`<i>`}${[1, null]}</p>`.text, "<p>&#60;b&#62;&#38;<i>1</p>");
  assertEquals(embedJson("</script>").text, '"\\u003c/script>"');
  assertEquals(
    escapeTex("a_b & 5 % \\{x} ~ ^ 1 ± 2 <"),
    [
      "a\\_b \\& 5 \\% \\textbackslash{}\\{x\\}",
      "\\textasciitilde{} \\textasciicircum{} 1 $\\pm$ 2 \\textless{}",
    ].join(" "),
  );
  const table = buildTable(syntheticRuns(grid(), 20).runs);
  const tex = tableTex(table);
  assertEquals(tex.match(/\\(top|mid|bottom)rule/g)?.length, 3);
  const lines = tex.split("\n").filter((line) => line.endsWith("\\\\"));
  const widths = new Set(lines.map((line) => line.replaceAll("\\&", "").split("&").length));
  assertEquals([lines.length, widths.size], [1 + table.rows.length, 1]);
});

Deno.test("provenance is flattened whatever it holds", () => {
  assertEquals([...flatten({ a: { b: 1, c: [1, 2] }, d: null, e: "x" })], [
    ["a.b", "1"],
    ["a.c", "[1,2]"],
    ["d", "null"],
    ["e", "x"],
  ]);
  assertEquals(operationsText(1.234e12), "1.23 TFLOP");
});

Deno.test("texts are those of the runs' own data, or none", () =>
  withFolder(async (folder) => {
    const data = embeddedDataset();
    const [cell] = grid();
    const on = (name: string, digest: string) => {
      const own = { ...cell, data: { ...cell.data, name, digest } };
      return [syntheticRun(own, 20)];
    };
    const texts = await openTexts(on("embedded", data.digest), null);
    assertEquals(texts.get(data.digest)?.get("3"), data.validation[3].text);
    assertEquals((await openTexts(on("other", "0".repeat(64)), null)).size, 0);
    const rows = data.validation.slice(0, 9).map(({ text, label }) => `${text}\t${label}\n`);
    for (const name of ["train", "dev"]) {
      await Deno.writeTextFile(`${folder}/${name}.tsv`, "sentence\tlabel\n" + rows.join(""));
    }
    await assertRejects(
      () => openTexts(on("other", "0".repeat(64)), folder),
      Error,
      "must be the data that the runs were made on, with digest 000000000000, found ",
    );
    const found = syntheticRuns(grid(), 20);
    const own = new Map([[cell.data.digest, new Map([["7", "a < b"]])]]);
    const page = reportPage(buildTable(found.runs), found, own);
    assertStringIncludes(page, ">a &#60; b<");
  }));
