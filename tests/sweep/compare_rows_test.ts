import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { mcnemar } from "../../lib/stats/mcnemar.ts";
import { type Cell, cellId } from "../../lib/sweep/cell.ts";
import { compareRows, comparisonNotes, isTied } from "../../lib/sweep/compare_rows.ts";
import type { AnsweredRun, WrongAnswers } from "../../lib/sweep/wrong_answers.ts";
import { cells } from "./fake_sweep.ts";

const EXAMPLES = 400;

function run(cell: Cell, wrong: WrongAnswers | undefined, test = false): AnsweredRun {
  return {
    id: cellId(cell),
    approach: cell.method.name,
    cell,
    result: {
      examples: EXAMPLES,
      splits: test ? { test: { examples: EXAMPLES } } : {},
      // deno-lint-ignore no-explicit-any -- nothing else of a result is read
    } as any,
    times: null,
    error: null,
    wrong,
  };
}

const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => `${from + i}`);

Deno.test("compareRows() compares single runs by McNemar's test, corrected by Holm", () => {
  const [full, lora, prompt] = cells({ methods: "full lora soft_prompt" });
  const found = compareRows([
    [run(full, { validation: ids(0, 30) })],
    [run(lora, { validation: ids(20, 20) })], // the best: 20 wrong, half of them full's
    [run(prompt, { validation: ids(100, 60) })],
  ]);
  assertEquals(found.map(({ best }) => best), [false, true, false]);
  const [first, , third] = found.map(({ comparison }) => comparison);
  // lora alone is right on 20 that full errs on, full alone on 10.
  assertEquals([first?.test, first?.p], ["mcnemar", mcnemar(20, 10)]);
  assertAlmostEquals(first!.behind, 10 / EXAMPLES, 1e-15);
  assertEquals(third?.p, mcnemar(60, 20));
  assertEquals([first!.adjusted, third!.adjusted], [first!.p, 2 * third!.p]);
  assertEquals(found.map(isTied), [true, false, false]);
  assertEquals(comparisonNotes(found)[0].includes("McNemar's exact test of single runs"), true);
});

Deno.test("compareRows() compares seeds by the bootstrap, on those that both have", () => {
  const grid = cells({ methods: "full lora", seeds: [0, 1, 2] });
  const rows = [
    [0, 1, 2].map((s) => run(grid[s], { validation: ids(10 * s, 20) })),
    [0, 2].map((s) => run(grid[3 + s], { validation: ids(10 * s, 60) })),
  ];
  const [best, other] = compareRows(rows);
  assertEquals([best.best, best.comparison], [true, null]);
  const { test, seeds, behind, lower, upper, p } = other.comparison!;
  assertEquals([test, seeds], ["bootstrap", [0, 2]]);
  assertAlmostEquals(behind, 40 / EXAMPLES, 1e-15);
  assert(lower! > 0 && lower! < behind && behind < upper! && p < 0.05, JSON.stringify(other));
  assertEquals(compareRows(rows), [best, other]); // the draws have a seed
  const one = compareRows([rows[0], rows[1].slice(0, 1)]);
  assertEquals(one[1].comparison?.test, "mcnemar");
});

Deno.test("compareRows() takes test examples where all rows have them", () => {
  const [full, lora] = cells({ methods: "full lora" });
  const both = { validation: ids(0, 50), test: ids(0, 10) };
  const other = { validation: ids(0, 10), test: ids(0, 90) };
  const tested = compareRows([[run(full, both, true)], [run(lora, other, true)]]);
  assertEquals([tested[0].best, tested[1].comparison?.split], [true, "test"]);
  const half = compareRows([[run(full, both, true)], [run(lora, { validation: ids(0, 10) })]]);
  assertEquals([half[1].best, half[0].comparison?.split], [true, "validation"]);
});

Deno.test("compareRows() leaves apart what is not on the same examples, or not known", () => {
  const [full, lora] = cells({ methods: "full lora" });
  const elsewhere: Cell = { ...lora, data: { ...lora.data, digest: "e".repeat(64) } };
  const none = { best: false, comparison: null };
  const wrong = { validation: ids(0, 9) };
  assertEquals(compareRows([[run(full, wrong)], [run(elsewhere, wrong)]]), [none, none]);
  assertEquals(compareRows([[run(full, wrong)], [run(lora, undefined)]]), [none, none]);
  assertEquals(compareRows([[run(full, wrong)], []]), [none, none]);
  const same = compareRows([[run(full, wrong)], [run(lora, wrong)]]);
  assertEquals([same[0].best, same[1].comparison?.p], [true, 1]);
});
