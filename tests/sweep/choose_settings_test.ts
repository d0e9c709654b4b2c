import { assertEquals } from "@std/assert";
import { type Cell, cellId } from "../../lib/sweep/cell.ts";
import { choiceNotes, chooseSettings } from "../../lib/sweep/choose_settings.ts";
import type { Run } from "../../lib/sweep/run_folder.ts";
import { cells } from "./fake_sweep.ts";

/** Runs grouped by all but the seed, each with its kept metrics; null is one without a result. */
function groups(
  grid: Cell[],
  kept: ({ accuracy: number; f1?: number; evalLoss?: number } | null)[],
) {
  const runs = grid.map((cell, i): Run => ({
    id: cellId(cell),
    approach: cell.method.name,
    cell,
    // deno-lint-ignore no-explicit-any -- nothing else of a result is read
    result: kept[i] && { kept: { f1: 0, evalLoss: 0, ...kept[i] } } as any,
    times: null,
    error: null,
  }));
  return [
    ...Map.groupBy(runs, ({ cell: { seed: _, ...rest } }) => JSON.stringify(rest)).values(),
  ];
}

const chosen = (choices: ReturnType<typeof chooseSettings>) =>
  choices.flatMap(({ chosen }, index) => chosen ? index : []);

const grid = (metric: "accuracy" | "f1" | "loss" = "accuracy") =>
  cells({
    methods: "full lora",
    axes: { learningRate: [0.001, 0.01] },
    settings: { metric },
    seeds: [0, 1],
  });

Deno.test("chooseSettings() takes the best mean over seeds, for each method", () => {
  const accuracies = [0.9, 0.5, 0.75, 0.75, 0.8, 0.8, 0.7, 0.7];
  const choices = chooseSettings(groups(grid(), accuracies.map((accuracy) => ({ accuracy }))), [
    "lr",
  ]);
  assertEquals(chosen(choices), [1, 2]); // full 0.7 and 0.75; lora 0.8 and 0.7
  assertEquals(choices.map(({ tried }) => tried), [2, 2, 2, 2]);
});

Deno.test("chooseSettings() follows the metric of the cells", () => {
  const values = [1, 1, 2, 2, 4, 4, 3, 3];
  const byF1 = groups(grid("f1"), values.map((f1) => ({ accuracy: 0, f1 })));
  assertEquals(chosen(chooseSettings(byF1, ["lr"])), [1, 2]);
  const byLoss = groups(grid("loss"), values.map((evalLoss) => ({ accuracy: 0, evalLoss })));
  assertEquals(chosen(chooseSettings(byLoss, ["lr"])), [0, 3]);
});

Deno.test("chooseSettings() passes over settings with fewer finished seeds", () => {
  const kept = [0.6, 0.6, 0.9, null, null, null, null, null].map((accuracy) =>
    accuracy === null ? null : { accuracy }
  );
  // Nothing of lora has ended: all of it stays.
  assertEquals(chosen(chooseSettings(groups(grid(), kept), ["lr"])), [0, 2, 3]);
});

Deno.test("chooseSettings() can choose options of methods, or nothing", () => {
  const ranks = cells({ methods: "lora:rank=1,8,64 full" });
  const kept = [0.5, 0.7, 0.6, 0.4].map((accuracy) => ({ accuracy }));
  assertEquals(chosen(chooseSettings(groups(ranks, kept), ["rank"])), [1, 3]);
  assertEquals(chosen(chooseSettings(groups(ranks, kept), ["lr"])), [0, 1, 2, 3]);
  assertEquals(chosen(chooseSettings(groups(ranks, kept), [])), [0, 1, 2, 3]);
});

Deno.test("choiceNotes() says how many settings each method was given, and what reports", () => {
  const row = (approach: string, tried: number, chosen = true) => ({
    ...{ approach, method: approach, tried, chosen, error: null },
  });
  assertEquals(choiceNotes([row("full", 1), row("lora", 1)], ["lr"], true), []);
  const [even] = choiceNotes([row("full", 3), row("lora", 3), row("zero_shot", 1)], ["lr"], true);
  assertEquals(even.startsWith("Each method was given 3 settings (lr); each row is the one"), true);
  assertEquals(even.includes("validation chooses, and the test columns report"), true);
});
