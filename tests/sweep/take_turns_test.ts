import { assertEquals } from "@std/assert";
import { inTurns, takeTurns } from "../../lib/sweep/take_turns.ts";
import { cells } from "./fake_sweep.ts";

Deno.test("takeTurns() takes one of each list in turn", () => {
  assertEquals(takeTurns([[1, 2, 3], [], [4], [5, 6]]), [1, 4, 5, 2, 6, 3]);
  assertEquals(takeTurns([]), []);
});

Deno.test("inTurns() serves methods alike", () => {
  const turns = inTurns(cells({ methods: "lora:rank=1,8 full", seeds: [0, 1] }));
  assertEquals(turns.map(({ method, seed }) => [method.name, method.options.rank ?? 0, seed]), [
    ["lora", 1, 0],
    ["full", 0, 0],
    ["lora", 1, 1],
    ["full", 0, 1],
    ["lora", 8, 0],
    ["lora", 8, 1],
  ]);
});
