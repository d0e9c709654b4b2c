import { assertEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { lossScaleVariable, type LossScaling, updateLossScale } from "../../lib/ops/loss_scale.ts";

const SCALING: LossScaling = { initial: 65536, growth: 2, backoff: 0.5, interval: 3 };

gpuTest("updateLossScale() backs off, counts what is skipped, and grows again", async (gpu) => {
  const session = new Session(gpu);
  try {
    const clip = variable("clip", [4], "control");
    const program = session.program([updateLossScale(lossScaleVariable(), clip, SCALING)], {});
    await session.build();
    session.upload("loss_scale", Float32Array.of(SCALING.initial, 0, 0));
    const expected: [number, number[]][] = [
      [0, [32768, 0, 1]],
      [0, [16384, 0, 2]],
      [1, [16384, 1, 2]],
      [1, [16384, 2, 2]],
      [0, [8192, 0, 3]],
      [1, [8192, 1, 3]],
      [1, [8192, 2, 3]],
      [1, [16384, 0, 3]],
      [1, [16384, 1, 3]],
    ];
    for (const [finite, state] of expected) {
      session.upload("clip", Float32Array.of(1, 1, finite, 0));
      session.run([program]);
      const found = await session.readVariables(["loss_scale"]);
      assertEquals([...found.get("loss_scale")!], state);
    }
  } finally {
    session.destroy();
  }
});

gpuTest("updateLossScale() never reaches 0", async (gpu) => {
  const session = new Session(gpu);
  try {
    const clip = variable("clip", [4], "control");
    const program = session.program([updateLossScale(lossScaleVariable(), clip, SCALING)], {});
    await session.build();
    session.upload("loss_scale", Float32Array.of(2 ** -125, 0, 0));
    session.run([program, program, program]);
    const [scale] = (await session.readVariables(["loss_scale"])).get("loss_scale")!;
    assertEquals(scale, 2 ** -126);
  } finally {
    session.destroy();
  }
});
