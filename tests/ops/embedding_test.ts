import { assertThrows } from "@std/assert";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/embedding.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { embedding } from "../../lib/ops/embedding.ts";

testCases("embedding()", cases);

Deno.test("embedding() refuses ids that are not u32, and sorts only what the host writes", () => {
  const table = variable("table", [4, 3], "trainable");
  assertThrows(
    () => embedding(table, input("ids", [2], "i32")),
    TypeError,
    "Cannot embed i32 [2] by f32 [4, 3]",
  );
  const y = embedding(table, variable("ids", [2], "control", "u32"));
  assertThrows(
    () => differentiate(y, input("g", [2, 3], "f32"), [table], add),
    TypeError,
    "its ids come from variable",
  );
});
