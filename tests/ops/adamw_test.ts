import { assert, assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { operations } from "../../lib/graph/node.ts";
import { elements } from "../../lib/graph/shape.ts";
import { adamw, type AdamWTensor } from "../../lib/ops/adamw.ts";

const FACTORS = { beta1: 0.9, beta2: 0.99, epsilon: 1e-6 };
const SCHEDULE = [0.5, 1, 1, 0, 0.02, 1 / (1 - 0.9 ** 2), 1 / (1 - 0.99 ** 2), 0];
const ROLES = ["w", "g", "m", "v"];

interface Case {
  readonly shape: readonly number[];
  readonly weightDecay: number;
  readonly rate?: number;
}

/** Sizes that end within a vector, a binding's alignment, a block; one of several blocks. */
const CASES: readonly Case[] = [
  { shape: [70, 65], weightDecay: 0.1, rate: 3 },
  { shape: [1], weightDecay: 0 },
  { shape: [64], weightDecay: 0.2 },
  { shape: [3, 4096], weightDecay: 0, rate: 0.5 },
  { shape: [2, 33], weightDecay: 0.1 },
];

function tensorOf({ shape, ...factors }: Case, i: number): AdamWTensor {
  return {
    parameter: variable(`w${i}`, shape, "trainable"),
    gradient: variable(`g${i}`, shape, "gradient"),
    first: variable(`m${i}`, shape, "optimizer"),
    second: variable(`v${i}`, shape, "optimizer"),
    ...factors,
  };
}

function update(tensors: readonly AdamWTensor[]) {
  return adamw({
    tensors,
    schedule: variable("schedule", [2, 4], "control"),
    step: variable("step", [1], "control", "u32"),
    clip: variable("clip", [4], "control"),
    ...FACTORS,
  });
}

/** Random values of each role of a case. */
function valuesOf({ shape }: Case): Float64Array[] {
  const [w, g, m, v] = ROLES.map(() => randomNormal(elements(shape)));
  return [w, g, m, v.map((x) => Math.fround(x * x))];
}

/** Values after one step, by name. */
async function step(
  gpu: Gpu,
  cases: readonly (readonly [number, Case, readonly Float64Array[]])[],
  { count, clip }: { readonly count: number; readonly clip: readonly number[] },
): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  const session = new Session(gpu);
  try {
    const program = session.program([update(cases.map(([i, one]) => tensorOf(one, i)))], {});
    await session.build();
    for (const [i, , values] of cases) {
      ROLES.forEach((role, r) => session.upload(`${role}${i}`, Float32Array.from(values[r])));
    }
    session.upload("schedule", Float32Array.from(SCHEDULE));
    session.upload("step", Uint32Array.of(count));
    session.upload("clip", Float32Array.from(clip));
    session.run([program]);
    return await session.readVariables(
      cases.flatMap(([i]) => ROLES.map((role) => `${role}${i}`)),
    );
  } finally {
    session.destroy();
  }
}

const all = CASES.map((one, i) => [i, one, valuesOf(one)] as const);

for (const maxBinding of [undefined, 32768]) {
  // Neighbours in several buffers, and a tensor of several bindings.
  const parts = maxBinding === undefined ? "in one launch" : "in parts";
  gpuTest(`adamw() updates ${parts} as its f64 reference, and clears gradients`, async (gpu) => {
    // Step 1 has the second row; step 9 is past the end and takes the last, the same.
    for (const count of [1, 9]) {
      const found = await step(gpu, all, { count, clip: [0.25, 7, 1, 0] });
      for (const [i, { weightDecay, rate = 1 }, [w, g, m, v]] of all) {
        const [lr, c1, c2] = [0.02 * rate, SCHEDULE[5], SCHEDULE[6]];
        const mean = m.map((x, e) => 0.9 * x + 0.1 * 0.25 * g[e]);
        const square = v.map((x, e) => 0.99 * x + 0.01 * (0.25 * g[e]) ** 2);
        const stepped = w.map((x, e) =>
          x * (1 - lr * weightDecay) -
          lr * (mean[e] * c1) / (Math.sqrt(square[e] * c2) + FACTORS.epsilon)
        );
        expectClose(`m${i}`, found.get(`m${i}`)!, mean, 1e-6, 1e-6);
        expectClose(`v${i}`, found.get(`v${i}`)!, square, 1e-6, 1e-6);
        expectClose(`w${i}`, found.get(`w${i}`)!, stepped, 1e-5, 1e-5);
        assert(found.get(`g${i}`)!.every((x) => x === 0));
      }
    }
    const spoiled = all.map(([i, one, [w, g, m, v]]) =>
      [i, one, [w, g.map(() => NaN), m, v]] as const
    );
    const skipped = await step(gpu, spoiled, { count: 1, clip: [0, 0, 0, 0] });
    for (const [i, , values] of all) {
      ROLES.forEach((role, r) => {
        const before = Float32Array.from(values[r], (x) => role === "g" ? 0 : x);
        assertEquals(skipped.get(`${role}${i}`), before);
      });
    }
  }, maxBinding);
}

gpuTest("adamw() gives a tensor the same bits alone and among others", async (gpu) => {
  const control = { count: 1, clip: [0.5, 1, 1, 0] };
  const together = await step(gpu, all, control);
  const turned = await step(gpu, [...all].reverse(), control);
  for (const one of all) {
    for (const [name, values] of await step(gpu, [one], control)) {
      assertEquals(together.get(name), values, name);
      assertEquals(turned.get(name), values, name);
    }
  }
});

gpuTest("adamw() takes one launch, and leaves zeros between its tensors", async (gpu) => {
  const session = new Session(gpu);
  const create = gpu.device.createBuffer.bind(gpu.device);
  const buffers: GPUBuffer[] = [];
  gpu.device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    if (/^[wgmv]0$/.test(descriptor.label ?? "")) buffers.push(buffer);
    return buffer;
  };
  const tensors = CASES.map(tensorOf);
  const program = session.program([update(tensors)], {});
  await session.build();
  const staging = create({
    size: buffers[0].size,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  try {
    assertEquals(program.kernels, ["adamw"]);
    for (const [i, , values] of all) {
      ROLES.forEach((role, r) => session.upload(`${role}${i}`, Float32Array.from(values[r])));
    }
    session.upload("schedule", Float32Array.from(SCHEDULE));
    session.upload("clip", Float32Array.of(1, 1, 1, 0));
    session.run([program, program]);
    assertEquals(buffers.length, 4);
    for (const buffer of buffers) {
      const encoder = gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
      gpu.device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const values = new Float32Array(staging.getMappedRange().slice(0));
      staging.unmap();
      let at = 0;
      for (const { shape } of CASES) {
        const end = at + elements(shape);
        at += Math.ceil(elements(shape) / 64) * 64;
        assert(values.subarray(end, at).every((x) => x === 0), buffer.label);
      }
      assertEquals(at, values.length);
    }
  } finally {
    staging.destroy();
    session.destroy();
  }
});

Deno.test("adamw() refuses moments of another shape, and has no gradient", () => {
  const tensors = [{ ...tensorOf(CASES[0], 0), first: variable("m", [65, 70], "optimizer") }];
  assertThrows(() => update(tensors), TypeError, "Cannot update [70, 65] by [65, 70]");
  assertEquals(operations().find(({ name }) => name === "adamw")!.differentiable, false);
});
