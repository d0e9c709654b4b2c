import { assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/csv/parse";
import { type Cell, cellId } from "../../lib/sweep/cell.ts";
import type { Run } from "../../lib/sweep/run_folder.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { classificationMetrics } from "../../lib/train/metrics.ts";
import { quantity } from "../../lib/sweep/quantity.ts";
import { buildTable, writeTable } from "../../lib/sweep/table.ts";
import { tableCsv, tableMarkdown, tableText } from "../../lib/sweep/table_format.ts";
import { cells, files, options, registry, runCell, withFolder } from "./fake_sweep.ts";

function run(
  cell: Cell,
  accuracy: number | null,
  result: Partial<NonNullable<Run["result"]>> = {},
): Run {
  const metrics = {
    epoch: 3,
    trainLoss: 0.5,
    evalLoss: 0.6,
    ...classificationMetrics([0, 1], [0, 1], 2),
    precision: 0.5,
    recall: 0.4,
    f1: 0.44,
  };
  return {
    id: cellId(cell),
    approach: registry[cell.method.name].label(cell.method.options),
    cell,
    result: accuracy === null ? null : {
      id: cellId(cell),
      examples: 872,
      best: { ...metrics, epoch: 2, accuracy: accuracy + 0.01 },
      last: { ...metrics, accuracy },
      kept: { ...metrics, accuracy },
      stoppedEarly: false,
      head: "seeded",
      splits: {},
      parameters: { total: 60_801_536, trainable: 294_912 },
      planned: {
        peakBytes: 3 << 20,
        weights: 0,
        trainable: 0,
        optimizer: 0,
        activations: 0,
        recomputed: false,
      },
      ...result,
    },
    times: accuracy === null ? null : { msPerStep: 71.23, examplesPerSecond: 449, seconds: 75 },
    error: accuracy === null ? "Cannot go on: the pipe | broke" : null,
  };
}

Deno.test("buildTable() joins seeds, keeps the order asked for and shows failures", () => {
  const grid = cells({ methods: "lora full", seeds: [0, 1, 2] });
  const accuracies = [0.6, 0.62, 0.67, 0.7, null, 0.71];
  const table = buildTable(grid.map((cell, i) => run(cell, accuracies[i])));
  assertEquals(
    table.rows.map(({ approach, seeds, error }) => [approach, seeds, error]),
    [
      ["lora rank 8", [0, 1, 2], null],
      ["full", [0, 2], null],
      ["full", [1], "Cannot go on: the pipe | broke"],
    ],
  );
  const { mean, sd } = table.rows[0].values.lastAccuracy!;
  assertAlmostEquals(mean, 0.63, 1e-12);
  assertAlmostEquals(sd!, Math.sqrt((0.03 ** 2 + 0.01 ** 2 + 0.04 ** 2) / 2), 1e-12);
  const markdown = tableMarkdown(table);
  assertStringIncludes(
    markdown,
    "| lora rank 8 | 64.0 ± 3.6 | 63.0 ± 3.6 | 54.0–72.0 | 50.0 ± 0.0 | 40.0 ± 0.0 | 44.0 ± 0.0 " +
      "| 60,801,536 | 294,912 | 0.5 | 71.2 | 449 | 3,145,728 | 1m 15s | 0, 1, 2 |",
  );
  assertStringIncludes(markdown, "best epoch");
  assertStringIncludes(markdown, "- Failed: full, seed 1: Cannot go on: the pipe \\| broke");
  // √(p(1 − p)/872) at the mean of the five accuracies, 0.66.
  assertStringIncludes(markdown, "872 validation examples: an accuracy near 66 % has a standard");
  assertStringIncludes(markdown, "error of 1.6 points");
});

Deno.test("equal accuracies have Wilson's interval, though their mean be rounded", () => {
  // 332/480 thrice: their mean is another double.
  const grid = cells({ methods: "lora", seeds: [0, 1, 2] });
  const [row] = buildTable(grid.map((cell) => run(cell, 332 / 480))).rows;
  const { lower, upper } = row.values.lastAccuracy!;
  assertAlmostEquals(lower!, 0.6601, 1e-4);
  assertAlmostEquals(upper!, 0.7213, 1e-4);
});

Deno.test("tableText() aligns its figures and fits a terminal", () => {
  const grid = cells({ methods: "lora full", seeds: [0, 1, 2] });
  const text = tableText(buildTable(grid.map((cell, i) => run(cell, i === 4 ? null : 0.6))));
  const [head, rule, first, second, failed] = text.split("\n");
  for (const line of [head, rule, first, second, failed]) {
    assertEquals(line.length <= 120, true, `${line.length} characters: ${line}`);
  }
  assertEquals([head.length, second.length <= head.length], [first.length, true]);
  assertStringIncludes(first, "61.0±0.0");
  assertStringIncludes(failed, "failed, seed 1");
  assertEquals(text.split("\n").every((line) => line.length <= 120), true);
  const narrow = tableText(buildTable(grid.map((cell) => run(cell, 0.6))), 100);
  assertStringIncludes(narrow.split("\n")[2], "61.0±0.0");
});

Deno.test("tableCsv() holds unrounded figures", () => {
  const grid = cells({ methods: "lora", seeds: [0, 1] });
  const csv = tableCsv(buildTable([run(grid[0], 0.61), run(grid[1], 0.64)]));
  const [row] = parse(csv, { skipFirstRow: true });
  assertEquals(row.approach, "lora rank 8");
  assertEquals(Number(row.last_accuracy), 0.625);
  assertAlmostEquals(Number(row.last_accuracy_sd), 0.03 / Math.SQRT2, 1e-12);
  assertEquals([row.peak_gpu_bytes, row.seeds, row.error], ["3145728", "0 1", ""]);
  assertAlmostEquals(Number(row.trainable_percent), 100 * 294_912 / 60_801_536, 1e-12);
});

Deno.test("buildTable() tells rows of the same name apart by what differs", () => {
  const grid = cells({ methods: "full lora", axes: { learningRate: [0.001, 0.01] } });
  const names = buildTable(grid.map((cell) => run(cell, 0.5))).rows.map((row) => row.approach);
  assertEquals(names, [
    "full, lr 0.001",
    "full, lr 0.01",
    "lora rank 8, lr 0.001",
    "lora rank 8, lr 0.01",
  ]);
});

Deno.test("a test split has columns and a note, where there is one", () => {
  const grid = cells({ methods: "lora", seeds: [0, 1] });
  const without = buildTable(grid.map((cell) => run(cell, 0.6)));
  assertEquals(tableCsv(without).includes("test_"), false);
  const test = { ...classificationMetrics([0, 1], [0, 1], 2), examples: 50, loss: 0.5, f1: 0.25 };
  const table = buildTable(
    grid.map((cell, i) =>
      run(cell, 0.6, { splits: { test: { ...test, accuracy: 0.5 + i / 10 } } })
    ),
  );
  const [row] = parse(tableCsv(table), { skipFirstRow: true });
  assertAlmostEquals(Number(row.test_accuracy), 0.55, 1e-12);
  assertEquals([row.test_f1, row.test_loss, row.macro_f1], ["0.25", "0.5", "1"]);
  assertEquals("train_accuracy" in row, false);
  const markdown = tableMarkdown(table);
  assertStringIncludes(markdown, "| test accuracy % | 95 % interval | test F1 % |");
  assertStringIncludes(markdown, "| 55.0 ± 7.1 | 0.0–100.0 | 25.0 ± 0.0 |");
  assertStringIncludes(markdown, "- Test columns: 50 test examples, measured once");
  const text = tableText(table);
  assertStringIncludes(text, "test acc");
  assertStringIncludes(text, "55.0±7.1");
  assertEquals(text.split("\n").every((line) => line.length <= 120), true);
});

Deno.test("the notes say which epoch the figures are from, and what zero_shot classifies by", () => {
  const notes = (methods: string, more: Parameters<typeof run>[2] = {}) =>
    buildTable(cells({ methods }).map((cell) => run(cell, 0.6, more))).notes.join("\n");
  assertStringIncludes(notes("lora"), "all other metrics are those after the last epoch.");
  const best = notes("lora:keep=best;metric=f1");
  assertStringIncludes(best, "All other metrics, saved weights and predictions are those of the");
  assertStringIncludes(best, "best validation f1");
  assertStringIncludes(notes("lora full:keep=best"), "Where keep is best, all other metrics");
  assertEquals(notes("full").includes("zero_shot"), false);
  assertStringIncludes(notes("zero_shot", { head: "seeded" }), "as the seed drew it, untrained");
  assertStringIncludes(notes("zero_shot", { head: "label_words" }), 'words "negative", "positive"');
  assertStringIncludes(notes("zero_shot", { head: "checkpoint" }), "that the checkpoint brings");
  const note = "20 rows are stored and 10 fed";
  assertStringIncludes(notes("lora", { note }), `: ${note}.`);
  assertEquals(notes("lora:rank=1,8", { note: null }).includes("null"), false);
  const early = notes("lora full", { stoppedEarly: true });
  assertStringIncludes(early, "Patience ended 2 of 2 runs before their last epoch.");
});

Deno.test("quantity() of one value has no deviation", () => {
  assertEquals(quantity([2]), { mean: 2, sd: null, lower: null, upper: null });
  const { mean, sd, lower, upper } = quantity([1, 3]);
  assertEquals([mean, sd], [2, Math.SQRT2]);
  assertAlmostEquals(upper! - 2, 12.706, 0.001); // t of one degree of freedom, times √2/√2
  assertAlmostEquals(lower! + upper!, 4, 1e-12);
});

/** Ids of examples, so many from some place on. */
const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => `${from + i}`);

Deno.test("rows are compared with the best one, and marked in every form of the table", () => {
  const grid = cells({ methods: "lora full soft_prompt", seeds: [0, 1, 2] });
  // Of 872 examples lora errs on 80, full on these and four more, soft_prompt on 200 others.
  const wrong = [ids(0, 80), ids(0, 84), ids(300, 200)];
  const table = buildTable(grid.map((cell, i) => {
    const errors = wrong[Math.floor(i / 3)];
    return { ...run(cell, 1 - errors.length / 872), wrong: { validation: errors } };
  }));
  const rows = parse(tableCsv(table), { skipFirstRow: true });
  assertEquals(rows.map(({ standing }) => standing), ["best", "tied", "behind"]);
  assertEquals(rows.map((row) => row.compared_by), ["", "bootstrap", "bootstrap"]);
  assertAlmostEquals(Number(rows[1].behind_best), 4 / 872, 1e-12);
  assertEquals(Number(rows[2].p_holm) < 0.001, true);
  const markdown = tableMarkdown(table);
  assertStringIncludes(markdown, "| 95 % interval | p against best |");
  assertEquals(/\| lora rank 8 .* \| best \|/.test(markdown), true);
  assertEquals(/\| full .* \| ≈ 0\.\d+ \|/.test(markdown), true);
  assertEquals(/\| soft_prompt .* \| <0\.001 \|/.test(markdown), true);
  assertStringIncludes(
    markdown,
    "≈ marks what cannot be told apart from the best row (p above 0.05)",
  );
  assertStringIncludes(markdown, "bootstrap that draws seeds and examples together");
  const text = tableText(table);
  assertEquals(text.split("\n").every((line) => line.length <= 120), true);
  assertEquals(/full .* ≈ 0\.\d+ /.test(text), true);
});

Deno.test("learning rates are chosen per method on validation; the CSV keeps all", () => {
  const grid = cells({
    methods: "full lora:lr=0.1 zero_shot",
    axes: { learningRate: [0.001, 0.01, 0.1] },
    seeds: [0, 1],
  });
  const table = buildTable(
    grid.map((cell) => run(cell, cell.settings.learningRate === 0.01 ? 0.7 : 0.6)),
    { choose: ["lr"] },
  );
  const markdown = tableMarkdown(table);
  const approaches = markdown.split("\n").slice(2, 5).map((line) => line.split(" | ")[0]);
  assertEquals(approaches, ["| full, lr 0.01", "| lora rank 8", "| zero_shot"]);
  assertStringIncludes(
    markdown,
    "Methods were given different numbers of settings (lr), which favours those given more: " +
      "full, lr 0.01: 3; lora rank 8: 1;",
  );
  assertStringIncludes(markdown, "biased upwards by that choice");
  const rows = parse(tableCsv(table), { skipFirstRow: true });
  assertEquals(rows.map((row) => [row.settings_tried, row.chosen].join()), [
    ...["3,false", "3,true", "3,false"],
    ...["1,true", "1,true"],
  ]);
});

Deno.test("an accuracy of one run has Wilson's interval, of several Student's", () => {
  const grid = cells({ methods: "lora full", seeds: [0, 1] });
  const table = buildTable([0.9, 0.91, 0.9].map((accuracy, i) => run(grid[i], accuracy)));
  const [several, one] = parse(tableCsv(table), { skipFirstRow: true });
  // 0.905 ± 12.706·0.00707/√2; and 785 of 872, by Wilson's formula worked out by hand.
  assertAlmostEquals(Number(several.last_accuracy_lower), 0.905 - 0.06353, 1e-5);
  assertAlmostEquals(Number(several.last_accuracy_upper), 0.905 + 0.06353, 1e-5);
  assertAlmostEquals(Number(one.last_accuracy_lower), 0.87855, 2e-5);
  assertAlmostEquals(Number(one.last_accuracy_upper), 0.91840, 2e-5);
  assertEquals(one.last_accuracy_sd, "");
  // Seeds that change nothing are one run.
  const alike = buildTable([0.9, 0.9].map((accuracy, i) => run(grid[i], accuracy)));
  const { sd, lower, upper } = alike.rows[0].values.lastAccuracy!;
  assertEquals(sd, 0);
  assertEquals([lower, upper].map(String), [one.last_accuracy_lower, one.last_accuracy_upper]);
});

Deno.test("writeTable() depends on the folders alone", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "zero_shot full:lr=0.5", seeds: [0, 1] });
    await runSweep(grid, runCell, options(folder));
    const text = await writeTable(folder, grid.map(cellId));
    const first = await files(folder);
    assertEquals(await writeTable(folder, grid.map(cellId)), text);
    assertEquals(await files(folder), first);
    assertEquals(first["table.md"].split("\n").filter((line) => line.startsWith("| ")).length, 4);
    const zeroShot = text.split("\n").find((line) => line.startsWith("zero_shot"));
    assertStringIncludes(zeroShot!, "–"); // No steps, so no time for one.
  }));
