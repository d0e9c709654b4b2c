import { assertEquals, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/rows.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { fullPrecision } from "../../lib/graph/precision.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { add, scale } from "../../lib/ops/elementwise.ts";
import { joinRows, rows } from "../../lib/ops/rows.ts";
import { sum } from "../../lib/ops/sum.ts";

testCases("rows() and joinRows()", cases);

const [B, R] = [symbol("B"), symbol("R")];
const SHARES = { of: 3, count: R };

Deno.test("the gradient through shares is one tensor, not a sum of padded ones", () => {
  const x = scale(input("x", [B, 8], "f32"), 2);
  const losses = [0, 1, 3].map((index) =>
    sum(scale(rows(x, index, { of: 4, count: R }), index + 1), 0, 2)
  );
  const seeds = losses.map((_, i) => input(`seed${i}`, [1, 1], "f32"));
  const gradients = differentiate(losses, seeds, [x.inputs[0]], add).get(x.inputs[0])!;
  assertEquals(gradients.length, 1);
  const names = topological(gradients).map(({ op }) => op.name);
  assertEquals(names.filter((name) => name === "join_rows").length, 1);
  assertEquals(names.filter((name) => name === "add").length, 0);
});

gpuTest("shares cost no launch where a buffer can be bound at their places", async (gpu) => {
  const x = input("x", [B, 32], "f32");
  const joined = joinRows(
    [0, 1, 2].map((index) => ({ index, part: scale(rows(x, index, SHARES), index + 1) })),
    B,
    SHARES,
  );
  for (const [share, launches] of [[2, 3], [1, 5]]) {
    const session = new Session(gpu, fullPrecision, []);
    try {
      // 256 bytes are where a buffer can be bound; 128, the second share's, are not.
      const program = session.program([joined], { B: 3 * share, R: share }, [joined]);
      assertEquals(program.dispatches, launches);
      await session.build();
      session.poison();
      const values = Float32Array.from({ length: 96 * share }, (_, i) => i);
      session.write(program, { x: values });
      session.run([program]);
      const [found] = await session.read(program, [joined]);
      assertEquals([...found], [...values].map((x, e) => x * (1 + Math.floor(e / (32 * share)))));
    } finally {
      session.destroy();
    }
  }
});

Deno.test("all shares of one tensor at their old places are that tensor", () => {
  const x = input("x", [B, 32], "f32");
  const shares = [0, 1, 2].map((index) => ({ index, part: rows(x, index, SHARES) }));
  assertEquals(joinRows(shares, B, SHARES), x);
  assertEquals(joinRows(shares.slice(1), B, SHARES).op.name, "join_rows");
  const turned = shares.map(({ index, part }) => ({ index: 2 - index, part }));
  assertEquals(joinRows(turned, B, SHARES).op.name, "join_rows");
});

Deno.test("joinRows() refuses parts of other shapes", () => {
  const [a, b] = [input("a", [2, 3], "f32"), input("b", [2, 4], "f32")];
  assertThrows(
    () => joinRows([{ index: 0, part: a }, { index: 1, part: b }], 4, { of: 2, count: 2 }),
    TypeError,
    "Cannot join rows: each part must be f32 [2, 3], found f32 [2, 4]",
  );
});
