import { assertEquals, assertThrows } from "@std/assert";
import { adjacentRuns, paddedBytes } from "../../lib/graph/adjacent.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { MemoryPlanner } from "../../lib/graph/memory.ts";
import { plan } from "../../lib/graph/plan.ts";
import { gradNormPartials } from "../../lib/ops/grad_norm.ts";

Deno.test("adjacentRuns() starts each at 256 bytes, and a buffer where a binding ends", () => {
  assertEquals([0, 1, 256, 257].map(paddedBytes), [0, 256, 256, 512]);
  assertEquals(adjacentRuns([4, 260, 256], 4096), [
    { start: 0, end: 3, offsets: [0, 256, 768], bytes: 1024 },
  ]);
  assertEquals(adjacentRuns([4, 260, 256, 2000, 8], 1024), [
    { start: 0, end: 3, offsets: [0, 256, 768], bytes: 1024 },
    { start: 3, end: 4, offsets: [0], bytes: 2048 }, // larger than a binding, and so alone
    { start: 4, end: 5, offsets: [0], bytes: 256 },
  ]);
});

Deno.test("MemoryPlanner lays neighbours out, counts what lies between, and refuses two orders", () => {
  const norm = (names: readonly string[]) => {
    const gradients = names.map((name) => variable(name, [65], "gradient"));
    return plan([gradNormPartials(gradients)], {});
  };
  const planner = new MemoryPlanner();
  planner.add(norm(["a", "b", "c"]), {});
  planner.add(norm(["a", "b", "c"]), {});
  const { byRole, padding } = planner.memory();
  assertEquals([byRole.gradient, padding], [3 * 260, 3 * 252]);
  assertEquals(planner.variableBuffers(1024), [
    { name: "grad_norm.partials", bytes: 768, offsets: new Map([["grad_norm.partials", 0]]) },
    { name: "a", bytes: 1024, offsets: new Map([["a", 0], ["b", 512]]) },
    { name: "c", bytes: 512, offsets: new Map([["c", 0]]) },
  ]);
  assertThrows(() => planner.add(norm(["b", "a", "c"]), {}), TypeError, "Cannot lay out b between");
});
