import { assertEquals } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { elements } from "../../lib/graph/shape.ts";
import { clipCoefficient, gradNormPartials } from "../../lib/ops/grad_norm.ts";

// 1 to 64 stripes of 4,096: the last has more than 64 · 4,096 elements.
const SHAPES = [[1], [65], [64, 64], [130, 64], [4100, 65]];
const SMALL = [[3], [150, 64], [1]];

async function clip(
  gpu: Gpu,
  shapes: readonly number[][],
  maxNorm: number | null,
  values: readonly Float64Array[],
): Promise<number[]> {
  const gradients = shapes.map((shape, i) => variable(`g${i}`, shape, "gradient"));
  const partials = gradNormPartials(gradients);
  const session = new Session(gpu);
  try {
    const program = session.program([clipCoefficient(partials, maxNorm)], {});
    await session.build();
    // What an earlier step left behind must not show.
    const [count] = partials.shape as number[];
    session.upload("grad_norm.partials", new Float32Array(count).fill(NaN));
    values.forEach((x, i) => session.upload(`g${i}`, Float32Array.from(x)));
    session.run([program]);
    return [...(await session.readVariables(["clip"])).get("clip")!];
  } finally {
    session.destroy();
  }
}

function norm(values: readonly Float64Array[]): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x.reduce((a, b) => a + b * b, 0), 0));
}

gpuTest("clipCoefficient() has the global norm, and limits it", async (gpu) => {
  const values = SHAPES.map((shape) => randomNormal(elements(shape)));
  const expected = norm(values);
  const limits: [number | null, number][] = [[null, 1], [1, 1 / (expected + 1e-6)], [1e9, 1]];
  for (const [maxNorm, coefficient] of limits) {
    const found = await clip(gpu, SHAPES, maxNorm, values);
    expectClose(`clip at ${maxNorm}`, found, [coefficient, expected, 1, 0], 0, 1e-5);
  }
});

gpuTest("clipCoefficient() adds the parts of a large gradient", async (gpu) => {
  const values = SMALL.map((shape) => randomNormal(elements(shape)));
  const found = await clip(gpu, SMALL, null, values);
  expectClose("clip", found, [1, norm(values), 1, 0], 0, 1e-5);
}, 16384);

gpuTest("clipCoefficient() flags a norm that is not finite", async (gpu) => {
  for (const bad of [NaN, Infinity, -Infinity, 1e30]) {
    const values = SMALL.map((shape) => randomNormal(elements(shape)));
    values[1][77] = bad;
    const [coefficient, , finite] = await clip(gpu, SMALL, 1, values);
    assertEquals([coefficient, finite], [0, 0], `for ${bad}`);
  }
});

gpuTest("gradNormPartials() sums a gradient alike alone and among others", async (gpu) => {
  const values = SHAPES.map((shape) => randomNormal(elements(shape)));
  const squares = async (chosen: readonly number[]) => {
    const gradients = chosen.map((i) => variable(`g${i}`, SHAPES[i], "gradient"));
    const session = new Session(gpu);
    try {
      const program = session.program([gradNormPartials(gradients)], {});
      assertEquals(program.dispatches, 1);
      await session.build();
      for (const i of chosen) session.upload(`g${i}`, Float32Array.from(values[i]));
      session.run([program]);
      const found = await session.readVariables(["grad_norm.partials"]);
      return found.get("grad_norm.partials")!;
    } finally {
      session.destroy();
    }
  };
  const order = SHAPES.map((_, i) => i);
  const alone: number[] = [];
  for (const i of order) {
    const found = await squares([i]);
    expectClose(`${SHAPES[i]}`, [found.reduce((a, b) => a + b)], [norm([values[i]]) ** 2], 0, 1e-5);
    alone.push(...found);
  }
  assertEquals([...await squares(order)], alone);
});
