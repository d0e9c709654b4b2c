import { assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/sum.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sum, sumInto } from "../../lib/ops/sum.ts";

testCases("sum()", cases);

gpuTest("sumInto() adds a sum to what a variable holds, in one launch", async (gpu) => {
  const shape = [3, 65, 7];
  const x = input("x", shape, "f32");
  for (const [start, end, kernel] of [[0, 2, "sum_columns_into"], [1, 3, "sum_rows_into"]]) {
    const total = sum(x, start as number, end as number);
    const n = start === 0 ? 7 : 3;
    const variables = ["into", "apart"].map((name) => variable(name, [n], "gradient"));
    const [before, values] = [randomNormal(n), randomNormal(3 * 65 * 7)];
    const session = new Session(gpu);
    try {
      const [into, apart] = [
        session.program([sumInto(variables[0], reshape(total, [n]))], {}),
        session.program([total], {}, [total]),
      ];
      assertEquals(into.kernels, [kernel]);
      await session.build();
      session.upload("into", Float32Array.from(before));
      session.write(into, { x: Float32Array.from(values) });
      session.run([into]);
      session.run([apart]);
      const found = (await session.readVariables(["into"])).get("into")!;
      const [sums] = await session.read(apart, [total]);
      assertEquals(found, sums.map((value, i) => Math.fround(Math.fround(before[i]) + value)));
      const expected = before.slice();
      values.forEach((value, i) =>
        expected[start === 0 ? i % 7 : Math.floor(i / (65 * 7))] += value
      );
      expectClose("sum", found, expected, 1e-4, 1e-5);
    } finally {
      session.destroy();
    }
  }
});

Deno.test("sumInto() refuses what is no sum, and another shape", () => {
  const x = input("x", [3, 4], "f32");
  assertThrows(() => sumInto(variable("v", [3, 4], "gradient"), x), TypeError, "must be a sum");
  const four = variable("v", [4], "gradient");
  assertThrows(() => sumInto(four, sum(x, 0, 1)), TypeError, "Cannot accumulate a sum of [1, 4]");
});
