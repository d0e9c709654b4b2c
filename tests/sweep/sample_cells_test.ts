import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { cellId } from "../../lib/sweep/cell.ts";
import { sampleCells } from "../../lib/sweep/sample_cells.ts";
import { cells } from "./fake_sweep.ts";

const grid = cells({
  methods: "zero_shot full lora:rank=1,2,4,8",
  axes: { learningRate: [0.1, 0.2, 0.3, 0.4, 0.5] },
  seeds: [0, 1, 2],
});

Deno.test("sampleCells() draws whole configurations, as many of every method", () => {
  const drawn = sampleCells(grid, 9, 0);
  assertEquals(drawn.length, 27);
  const count = (name: string) => drawn.filter(({ method }) => method.name === name).length / 3;
  // zero_shot has one configuration alone: the others share what is left.
  assertEquals(["zero_shot", "full", "lora"].map(count), [1, 4, 4]);
  const places = drawn.map((cell) => grid.indexOf(cell));
  assertEquals(places, places.toSorted((a, b) => a - b));
});

Deno.test("sampleCells() draws by its seed, and at most all", () => {
  const ids = (count: number, seed: number) => sampleCells(grid, count, seed).map(cellId);
  assertEquals(ids(7, 3), ids(7, 3));
  assertNotEquals(ids(7, 3), ids(7, 4));
  assertEquals(sampleCells(grid, 1000, 0), grid);
  // Over many seeds every configuration comes up.
  const seen = new Set(Array.from({ length: 60 }, (_, seed) => ids(5, seed)).flat());
  assert(seen.size === grid.length, `${seen.size} of ${grid.length}`);
  assertEquals(cells({ methods: "full lora:rank=1,2", sample: 2 }).length, 2);
});
