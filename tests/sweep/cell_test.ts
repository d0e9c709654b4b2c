import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { cellId } from "../../lib/sweep/cell.ts";
import { cells } from "./fake_sweep.ts";

Deno.test("cellId() is the digest of the sorted description", () => {
  const [cell] = cells({ methods: "lora:rank=1" });
  assertMatch(cellId(cell), /^[0-9a-f]{16}$/);
  const shuffled = Object.fromEntries(Object.entries(structuredClone(cell)).reverse());
  assertEquals(cellId(shuffled as unknown as typeof cell), cellId(cell));
  // Computed outside of this project from the same description.
  assertEquals(cellId(cell), "f135984d19524262");
});

Deno.test("cellId() changes with everything that may change a result", () => {
  const [cell] = cells({ methods: "lora:rank=1" });
  const changes = [
    { version: cell.version + 1 },
    { base: { ...cell.base, digest: "other" } },
    { tokenizer: { digest: "other" } },
    { data: { ...cell.data, trainSize: 7 } },
    { task: { ...cell.task, prefix: "other " } },
    { task: { ...cell.task, head: true } },
    { method: { ...cell.method, options: { rank: 2 } } },
    { settings: { ...cell.settings, learningRate: 1 } },
    { seed: 1 },
  ];
  const ids = new Set(changes.map((change) => cellId({ ...cell, ...change })));
  assertEquals(ids.size, changes.length);
  for (const id of ids) assertNotEquals(id, cellId(cell));
});

Deno.test("expandGrid() orders methods, then axes, then seeds, and drops what comes twice", () => {
  const grid = cells({
    methods: "zero_shot lora:rank=1,8 full:lr=0.5 lora:rank=8",
    axes: { learningRate: [0.1, 0.2] },
    settings: { epochs: 2 },
    seeds: [0, 1],
  });
  assertEquals(
    grid.map(({ method, settings, seed }) =>
      `${method.name} ${
        method.options.rank ?? ""
      } ${settings.learningRate} ${settings.epochs} ${seed}`
    ),
    [
      ...["zero_shot  0 0 0", "zero_shot  0 0 1"],
      ...["lora 1 0.1 2 0", "lora 1 0.1 2 1", "lora 1 0.2 2 0", "lora 1 0.2 2 1"],
      ...["lora 8 0.1 2 0", "lora 8 0.1 2 1", "lora 8 0.2 2 0", "lora 8 0.2 2 1"],
      ...["full  0.5 2 0", "full  0.5 2 1"],
    ],
  );
});

Deno.test("a method that trains nothing has micro-batches for batches", () => {
  const sizes = (settings: object) => {
    const [{ settings: { batchSize, microBatch } }] = cells({ methods: "zero_shot", settings });
    return [batchSize, microBatch];
  };
  assertEquals(sizes({ batchSize: 16 }), [16, null]);
  assertEquals(sizes({ batchSize: 16, microBatch: 4 }), [4, null]);
});

Deno.test("expandGrid() gives each method its own default learning rate", () => {
  const rates = cells({ methods: "lora full soft_prompt:tokens=1" })
    .map(({ settings }) => settings.learningRate);
  assertEquals(rates, [5e-3, 1e-3, 0.3]);
});
