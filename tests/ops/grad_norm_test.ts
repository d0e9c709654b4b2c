import { assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { elements } from "../../lib/graph/shape.ts";
import { clipCoefficient, gradNormPartials, partialsVariable } from "../../lib/ops/grad_norm.ts";

// 1 to 64 stripes of 4,096: the last has more than 64 · 4,096 elements.
const SHAPES = [[1], [65], [64, 64], [130, 64], [4100, 65]];
const SMALL = [[3], [150, 64], [1]];

async function clip(
  gpu: Gpu,
  shapes: readonly number[][],
  maxNorm: number | null,
  values: readonly Float64Array[],
): Promise<number[]> {
  let partials = partialsVariable(shapes.length);
  shapes.forEach((shape, i) => {
    partials = gradNormPartials(partials, variable(`g${i}`, shape, "gradient"), i);
  });
  const session = new Session(gpu);
  try {
    const program = session.program([clipCoefficient(partials, maxNorm)], {});
    await session.build();
    // What an earlier step left behind must not show.
    session.upload("grad_norm.partials", new Float32Array(shapes.length * 64).fill(NaN));
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

gpuTest("clipCoefficient() adds the row shards of a large gradient", async (gpu) => {
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

Deno.test("gradNormPartials() refuses a place beyond its partial sums", () => {
  const gradient = variable("g", [3], "gradient");
  assertThrows(
    () => gradNormPartials(partialsVariable(2), gradient, 2),
    RangeError,
    "Cannot put partial sums of gradient 2 into 128",
  );
});
