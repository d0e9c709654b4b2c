import { assertEquals, assertThrows } from "@std/assert";
import {
  bracketName,
  halvingText,
  planHalving,
  rankSettings,
  rungScore,
  rungsOf,
} from "../../lib/sweep/halving.ts";
import type { EpochMetrics } from "../../lib/sweep/run_cell.ts";
import { classificationMetrics } from "../../lib/train/metrics.ts";
import { cells, registry } from "./fake_sweep.ts";

const label = ({ name, options }: { name: string; options: Record<string, never> | object }) =>
  registry[name].label(options as never);

Deno.test("rungsOf() halves down to one setting, the last rung at an eta-th of the epochs", () => {
  const rungs = (...args: Parameters<typeof rungsOf>) =>
    rungsOf(...args).map(({ epoch, keeps }) => [epoch, keeps]);
  assertEquals(rungs(9, 9, 3), [[1, 3], [3, 1]]);
  assertEquals(rungs(9, 3, 3), [[3, 1]]);
  assertEquals(rungs(10, 7, 2), [[3, 3], [5, 1]]);
  assertEquals(rungs(5, 2, 4), [[2, 1]]);
  // More halvings than epochs: those that there are.
  assertEquals(rungs(9, 81, 3), [[1, 27], [3, 9]]);
  assertEquals(rungs(2, 100, 2), [[1, 50]]);
  assertEquals([rungs(9, 1, 3), rungs(1, 8, 2), rungs(0, 1, 2)], [[], [], []]);
});

Deno.test("planHalving() lets settings of one method compete, all their seeds together", () => {
  const all = cells({
    methods: "zero_shot lora:rank=1,8 full",
    axes: { learningRate: [0.1, 0.2, 0.3] },
    seeds: [0, 1],
    settings: { epochs: 4 },
  });
  const shape = (choose: string[]) =>
    planHalving(all, { eta: 2, choose }).map((bracket) => [
      bracketName(bracket, label),
      bracket.settings.map((own) => own.length).join(" "),
      bracket.rungs.map(({ epoch }) => epoch).join(" "),
    ]);
  assertEquals(shape(["lr"]), [
    ["zero_shot", "2", ""],
    ["lora rank 1", "2 2 2", "2"],
    ["lora rank 8", "2 2 2", "2"],
    ["full", "2 2 2", "2"],
  ]);
  assertEquals(shape(["lr", "rank"]), [
    ["zero_shot", "2", ""],
    ["lora", "2 2 2 2 2 2", "1 2"],
    ["full", "2 2 2", "2"],
  ]);
  const text = halvingText(planHalving(all, { eta: 2, choose: ["lr", "rank"] }), 2, label);
  assertEquals(
    text,
    "Halving by 2: 6 settings to epoch 1, 3 to epoch 2, 1 to epoch 4 (lora); " +
      "3 settings to epoch 2, 1 to epoch 4 (full); at most 38 epochs instead of 72",
  );
});

Deno.test("planHalving() refuses what cannot be halved", () => {
  const refused = (partial: Parameters<typeof cells>[0], choose: string[], text: string) =>
    assertThrows(() => planHalving(cells(partial), { eta: 2, choose }), RangeError, text);
  refused({ methods: "full lora" }, ["lr"], "no method has two settings that --choose lr chooses");
  const rates = { axes: { learningRate: [0.1, 0.2] } };
  refused({ methods: "full", ...rates }, [], "--choose none chooses between");
  const settings = { epochs: 1 };
  refused({ methods: "full", ...rates, settings }, ["lr"], "runs of 1 epoch: they must have two");
  const epochs = { epochs: [2, 4] };
  refused({ methods: "full", axes: epochs }, ["epochs"], "the same epochs, found 2 and 4");
  // Before anything runs.
  assertThrows(() => cells({ methods: "full", halving: 2 }), RangeError, "no method has two");
  assertThrows(() => cells({ methods: "full", halving: 1.5 }), RangeError, "halving 1.5");
});

function epoch(number: number, right: number, evalLoss: number): EpochMetrics {
  const labels = [0, 1, 0, 1];
  const answers = labels.map((label, i) => i < right ? label : 1 - label);
  return {
    epoch: number,
    trainLoss: 1,
    evalLoss,
    ...classificationMetrics(labels, answers, 2),
  };
}

Deno.test("rungScore() is the metric of the weights that would be kept at the rung", () => {
  const epochs = [epoch(1, 2, 0.5), epoch(2, 1, 0.7), epoch(3, 4, 0.9)];
  const score = (settings: object, rung: number, of = epochs) =>
    rungScore(cells({ methods: "full", settings })[0], of, rung);
  assertEquals([1, 2, 3, 9].map((rung) => score({}, rung)), [0.5, 0.25, 1, 1]);
  assertEquals([1, 2, 3].map((rung) => score({ keep: "best" }, rung)), [0.5, 0.5, 1]);
  assertEquals([1, 2, 3].map((rung) => score({ metric: "loss" }, rung)), [-0.5, -0.7, -0.9]);
  assertEquals(score({ metric: "loss", keep: "best" }, 3), -0.5);
  assertEquals(score({}, 1, []), null);
  for (const value of [NaN, null]) {
    assertEquals(score({ metric: "loss" }, 1, [epoch(1, 2, value as number)]), null);
  }
});

Deno.test("rankSettings() goes by means over seeds, then by order; failures count less", () => {
  const ranks = (scores: (number | null)[][], keeps: number) =>
    rankSettings(scores, keeps).map(({ rank, goesOn }) => goesOn ? rank : -rank);
  assertEquals(ranks([[0.5, 0.6], [0.9, 0.4], [0.6, 0.6]], 1), [-3, 1, -2]);
  assertEquals(ranks([[0.5], [0.5], [0.5]], 2), [1, 2, -3]);
  assertEquals(ranks([[0.9, null], [0.1, 0.2]], 1), [-2, 1]);
  assertEquals(ranks([[null], [null], [0.1]], 2), [-2, -3, 1]);
  assertEquals(rankSettings([[0.25, 0.75]], 1), [{ rank: 1, mean: 0.5, goesOn: true }]);
});
