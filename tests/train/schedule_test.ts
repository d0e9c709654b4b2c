import { assertAlmostEquals, assertEquals } from "@std/assert";
import { fixtureTest } from "../fixtures.ts";
import { scheduleFactor, scheduleTable, warmupSteps } from "../../lib/train/schedule.ts";

interface Golden {
  readonly warmup: number;
  readonly total: number;
  readonly factors: Readonly<Record<"linear" | "cosine" | "constant", number[]>>;
}

fixtureTest("scheduleFactor() is transformers' factor at every step", (folder) => {
  const golden: Golden = JSON.parse(
    Deno.readTextFileSync(`${folder}/golden/tables/schedules.json`),
  );
  for (const schedule of ["linear", "cosine", "constant"] as const) {
    const settings = { schedule, warmupSteps: golden.warmup, steps: golden.total };
    golden.factors[schedule].forEach((factor, step) =>
      assertAlmostEquals(scheduleFactor(settings, step), factor, 1e-12, `${schedule} ${step}`)
    );
    const table = scheduleTable({ ...settings, learningRate: 0.5, beta1: 0.9, beta2: 0.999 });
    for (let step = 0; step < golden.total; step++) {
      assertAlmostEquals(table[step * 4], 0.5 * golden.factors[schedule][step], 1e-7);
    }
  }
});

Deno.test("scheduleTable() has the bias corrections of each step", () => {
  const table = scheduleTable({
    schedule: "linear",
    learningRate: 2,
    warmupSteps: 0,
    steps: 2,
    beta1: 0.5,
    beta2: 0.75,
  });
  assertEquals([...table].map((x) => Number(x.toFixed(5))), [
    2,
    2,
    4,
    1,
    1,
    1.33333,
    2.28571,
    0.57435,
  ]);
});

Deno.test("warmupSteps() are steps, or a share of all of them", () => {
  assertEquals([0, 4, 0.06, 0.5, 0.001].map((warmup) => warmupSteps(warmup, 100)), [
    0,
    4,
    6,
    50,
    1,
  ]);
  assertEquals(warmupSteps(0.07, 100), 7); // 0.07 · 100 is a little more than 7 in f64.
});

Deno.test("scheduleFactor() warms up over all steps where there are no more", () => {
  const settings = { schedule: "linear", warmupSteps: 2, steps: 2 } as const;
  assertEquals([0, 1, 2].map((step) => scheduleFactor(settings, step)), [0, 0.5, 0]);
});
