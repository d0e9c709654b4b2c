import { assertEquals } from "@std/assert";
import type { Cell } from "../../lib/sweep/cell.ts";
import { planHalving } from "../../lib/sweep/halving.ts";
import { HalvingRounds, type Leg } from "../../lib/sweep/halving_rounds.ts";
import type { EpochMetrics } from "../../lib/sweep/run_cell.ts";
import { cells } from "./fake_sweep.ts";

const rates = [0.1, 0.2, 0.3, 0.4];
const all = cells({
  methods: "full lora",
  axes: { learningRate: rates },
  seeds: [0, 1],
  settings: { epochs: 4 },
});
const rounds = () => new HalvingRounds(all, planHalving(all, { eta: 2, choose: ["lr"] }));

/** Accuracy after some epoch. */
const epochs = (count: number, accuracy: (epoch: number) => number) =>
  Array.from(
    { length: count },
    (_, i) => ({ epoch: i + 1, accuracy: accuracy(i + 1) }) as EpochMetrics,
  );

const shown = (legs: readonly Leg[]) =>
  legs.map(({ cell: { method, settings, seed }, until }) =>
    `${method.name} ${settings.learningRate} ${seed}: ${until}`
  );

/** Better at first with a low rate, later with a high one. */
const accuracyOf = ({ settings: { learningRate }, seed }: Cell) => (epoch: number) =>
  0.5 + (epoch > 1 ? learningRate : -learningRate) + seed / 100;

function settle(run: HalvingRounds, legs: readonly Leg[]): void {
  for (const { cell, until } of legs) {
    run.settle(cell, { epochs: epochs(until ?? 4, accuracyOf(cell)), done: until === null });
  }
}

Deno.test("HalvingRounds lets the best settings of each method go on, with all their seeds", () => {
  const run = rounds();
  const first = run.first();
  assertEquals(first.map(({ cell }) => cell), all);
  assertEquals(new Set(first.map(({ until }) => until)), new Set([1]));
  settle(run, first);
  const second = run.next();
  assertEquals(shown(second.legs), [
    ...["full 0.1 0: 2", "full 0.1 1: 2", "full 0.2 0: 2", "full 0.2 1: 2"],
    ...["lora 0.1 0: 2", "lora 0.1 1: 2", "lora 0.2 0: 2", "lora 0.2 1: 2"],
  ]);
  const [one] = second.dropped;
  assertEquals([second.dropped.length, one.rung, one.epoch, one.settings], [8, 1, 1, 4]);
  assertEquals([one.place.rank, one.cell.settings.learningRate], [3, 0.3]);
  assertEquals(second.decisions.map(({ text }) => text), [
    ...["2 of 4 settings go on from epoch 1", "2 of 4 settings go on from epoch 1"],
  ]);
  settle(run, second.legs);
  const third = run.next();
  assertEquals(shown(third.legs), [
    ...["full 0.2 0: null", "full 0.2 1: null", "lora 0.2 0: null", "lora 0.2 1: null"],
  ]);
  settle(run, third.legs);
  assertEquals(run.next(), { legs: [], dropped: [], decisions: [] });
});

Deno.test("HalvingRounds decides alike whatever cells have trained beyond the rung", () => {
  const run = rounds();
  for (const { cell } of run.first()) {
    run.settle(cell, { epochs: epochs(4, accuracyOf(cell)), done: false });
  }
  assertEquals(shown(run.next().legs).slice(0, 2), ["full 0.1 0: 2", "full 0.1 1: 2"]);
});

Deno.test("HalvingRounds neither runs nor stops what has failed or is done", () => {
  const run = rounds();
  const first = run.first();
  settle(run, first);
  run.settle(all[0], null); // one seed of the best
  run.settle(all[2], { epochs: epochs(1, () => 0.9), done: true });
  run.settle(all[6], { epochs: epochs(1, () => 0), done: true });
  const { legs, dropped } = run.next();
  assertEquals(shown(legs.slice(0, 3)), ["full 0.2 1: 2", "full 0.3 0: 2", "full 0.3 1: 2"]);
  const own = dropped.filter(({ cell }) => cell.method.name === "full").map(({ cell }) => cell);
  assertEquals(own, [all[1], all[7]]);
});

Deno.test("HalvingRounds waits where a cell was not begun, for that method alone", () => {
  const run = rounds();
  settle(run, run.first().slice(1));
  const { legs, dropped } = run.next();
  assertEquals(new Set([...legs, ...dropped].map(({ cell }) => cell.method.name)).size, 1);
  assertEquals(legs[0].cell.method.name, "lora");
  settle(run, legs.slice(1));
  assertEquals(run.next(), { legs: [], dropped: [], decisions: [] });
});

Deno.test("HalvingRounds goes on with one method where another's round is not complete", () => {
  const run = rounds();
  settle(run, run.first().slice(1));
  const { legs } = run.next();
  settle(run, legs);
  assertEquals(shown(run.next().legs), ["lora 0.2 0: null", "lora 0.2 1: null"]);
});
