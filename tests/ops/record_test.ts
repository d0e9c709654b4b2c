import { assertEquals, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { advance } from "../../lib/ops/advance.ts";
import { record } from "../../lib/ops/record.ts";

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

Deno.test("record() refuses a loss of more than one number, and a single slot", () => {
  const step = variable("step", [1], "control", "u32");
  const losses = variable("losses", [3], "control");
  assertThrows(() => record(losses, step, input("loss", [2], "f32")), TypeError, "a loss of [2]");
  const one = variable("losses", [1], "control");
  assertThrows(() => record(one, step, input("loss", [1], "f32")), TypeError, "at least 2 slots");
});
