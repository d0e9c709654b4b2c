import { assert, assertEquals } from "@std/assert";
import { gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import type { Node } from "../../lib/graph/node.ts";
import { elements } from "../../lib/graph/shape.ts";
import { adamw, type AdamWTensor } from "../../lib/ops/adamw.ts";
import { advance } from "../../lib/ops/advance.ts";
import { clipCoefficient, clipVariable, gradNormPartials } from "../../lib/ops/grad_norm.ts";
import { isSmall, smallUpdate } from "../../lib/ops/small_update.ts";

const FACTORS = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const STEPS = 4;
/** Rates, and the corrections of the moments. */
const SCHEDULE = Float32Array.from(
  Array.from({ length: STEPS }, (_, i) => [
    ...[0.1 / (i + 1), 1 / (1 - 0.9 ** (i + 1)), 1 / (1 - 0.999 ** (i + 1)), 0],
  ]).flat(),
);
const SHAPES = [[2, 64], [2], [1], [33, 7], [60, 56]];
const ROLES = ["w", "g", "m", "v"];

const tensors: readonly AdamWTensor[] = SHAPES.map((shape, i) => ({
  parameter: variable(`w${i}`, shape, "trainable"),
  gradient: variable(`g${i}`, shape, "gradient"),
  first: variable(`m${i}`, shape, "optimizer"),
  second: variable(`v${i}`, shape, "optimizer"),
  weightDecay: i % 2 === 0 ? 0.1 : 0,
  rate: i === 3 ? 4 : undefined,
}));
const schedule = variable("schedule", [STEPS, 4], "control");
const step = variable("step", [1], "control", "u32");

function inLaunches(maxNorm: number | null): Node[] {
  const clip = clipCoefficient(gradNormPartials(tensors.map(({ gradient }) => gradient)), maxNorm);
  return [adamw({ tensors, schedule, step, clip, ...FACTORS }), advance(step)];
}

function atOnce(maxNorm: number | null): Node[] {
  return [smallUpdate({ tensors, schedule, step, clip: clipVariable(), maxNorm, ...FACTORS })];
}

/** All variables after some steps, each with gradients of its own. */
async function trained(gpu: Gpu, roots: Node[], gradients: readonly Float32Array<ArrayBuffer>[][]) {
  const session = new Session(gpu);
  try {
    const program = session.program(roots, {});
    await session.build();
    session.upload("schedule", SCHEDULE);
    SHAPES.forEach((shape, i) => {
      const start = Float32Array.from({ length: elements(shape) }, (_, e) => Math.sin(e + i));
      session.upload(`w${i}`, start);
    });
    for (const one of gradients) {
      one.forEach((values, i) => session.upload(`g${i}`, values));
      session.run([program]);
    }
    const names = SHAPES.flatMap((_, i) => ROLES.map((role) => `${role}${i}`));
    const found = await session.readVariables([...names, "step", "clip"]);
    return { found, kernels: program.kernels };
  } finally {
    session.destroy();
  }
}

gpuTest("smallUpdate() does in one launch what four do, to the bit", async (gpu) => {
  assert(isSmall(tensors.map(({ parameter }) => parameter)));
  // The third is not finite; the last is past the schedule's end.
  const gradients = Array.from({ length: STEPS + 1 }, (_, at) =>
    SHAPES.map((shape) => {
      const values = Float32Array.from(randomNormal(elements(shape)));
      if (at === 2) values[0] = NaN;
      return values;
    }));
  for (const maxNorm of [null, 0.5, 1e9]) {
    const one = await trained(gpu, atOnce(maxNorm), gradients);
    const four = await trained(gpu, inLaunches(maxNorm), gradients);
    assertEquals(one.kernels, ["small_update"]);
    assertEquals(four.kernels, ["square_partials", "clip_coefficient", "adamw", "advance"]);
    assertEquals(one.found, four.found, `with norms up to ${maxNorm}`);
    assertEquals(new Uint32Array(one.found.get("step")!.buffer)[0], STEPS + 1);
    assert(one.found.get("w3")!.every((x) => Number.isFinite(x)));
  }
});

Deno.test("isSmall() counts the padding between tensors, up to a block in all", () => {
  const of = (...shapes: number[][]) => shapes.map((shape) => variable("w", shape, "trainable"));
  assert(isSmall(of([64, 64])));
  assert(!isSmall(of([64, 64], [1])));
  assert(isSmall(of(...Array.from({ length: 64 }, () => [1]))));
  assert(!isSmall(of(...Array.from({ length: 65 }, () => [1]))));
});
