import { assertEquals, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { advance } from "../../lib/ops/advance.ts";
import { multiply } from "../../lib/ops/elementwise.ts";
import { record } from "../../lib/ops/record.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sum } from "../../lib/ops/sum.ts";

gpuTest("record() adds micro-batches to their step's slot, and advance() moves on", async (gpu) => {
  const losses = variable("losses", [3], "control");
  const step = variable("step", [1], "control", "u32");
  const session = new Session(gpu);
  try {
    const forward = session.program([record(losses, step, input("loss", [1], "f32"))], {});
    const update = session.program([advance(step)], {});
    await session.build();
    const found: number[][] = [];
    for (const microBatches of [[1, 2], [4], [8, 16], [32], [64]]) {
      for (const loss of microBatches) {
        session.write(forward, { loss: Float32Array.of(loss) });
        session.run([forward]);
      }
      session.run([update]);
      found.push([...(await session.readVariables(["losses"])).get("losses")!]);
    }
    assertEquals(found, [[3, 0, 0], [3, 4, 0], [0, 4, 24], [32, 0, 24], [32, 64, 0]]);
    const steps = (await session.readVariables(["step"])).get("step")!;
    assertEquals(new Uint32Array(steps.buffer)[0], 5);
  } finally {
    session.destroy();
  }
});

gpuTest(
  "record() adds up a loss that is a sum, with its factor, in its own launch",
  async (gpu) => {
    const step = variable("step", [1], "control", "u32");
    const [terms, factor] = [input("terms", [5, 70], "f32"), input("factor", [1], "f32")];
    const total = reshape(sum(terms, 0, 2), [1]);
    const values = Float32Array.from({ length: 350 }, (_, i) => Math.sin(i));
    for (const loss of [total, multiply(total, factor)]) {
      const session = new Session(gpu);
      try {
        const losses = variable("losses", [3], "control");
        const program = session.program([record(losses, step, loss)], {});
        const apart = session.program([loss], {}, [loss]);
        assertEquals(program.kernels, ["record"]);
        await session.build();
        session.upload("losses", Float32Array.of(0, 8, 9));
        for (const one of [apart, program]) {
          session.write(one, { terms: values, factor: Float32Array.of(0.3) });
          session.run([one]);
        }
        const [expected] = await session.read(apart, [loss]);
        const found = (await session.readVariables(["losses"])).get("losses")!;
        assertEquals(found, Float32Array.of(expected[0], 0, 9));
      } finally {
        session.destroy();
      }
    }
  },
);

Deno.test("record() refuses a loss of more than one number, and a single slot", () => {
  const step = variable("step", [1], "control", "u32");
  const losses = variable("losses", [3], "control");
  assertThrows(() => record(losses, step, input("loss", [2], "f32")), TypeError, "a loss of [2]");
  const one = variable("losses", [1], "control");
  assertThrows(() => record(one, step, input("loss", [1], "f32")), TypeError, "at least 2 slots");
});
