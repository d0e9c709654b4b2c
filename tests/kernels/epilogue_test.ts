import { assert, assertEquals, assertThrows } from "@std/assert";
import { ROUND_HALF } from "../../kernels/elementwise.ts";
import { withEpilogue } from "../../kernels/epilogue.ts";
import { inPlace } from "../../kernels/in_place.ts";
import { type Kernel, kernel } from "../../kernels/kernel.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { gpuTest } from "../check_op.ts";

/** y[i] = 2·x[i], one or four at a time. */
function doubled(element: "f32" | "vec4<f32>"): Kernel {
  return kernel({
    name: "doubled",
    reads: { x: element },
    writes: { y: element },
    params: {},
    tune: { wg: 4 },
    workgroups: () => 1,
    body: () => "  y[lane] = 2.0 * x[lane];",
  });
}

async function run(gpu: Gpu, made: Kernel, arrays: readonly (Float32Array<ArrayBuffer>)[]) {
  const { pipeline, layout } = gpu.pipeline(made, made.tune);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = arrays.map((values) => {
    const buffer = gpu.device.createBuffer({ size: values.byteLength, usage });
    gpu.device.queue.writeBuffer(buffer, 0, values);
    return buffer;
  });
  const params = gpu.device.createBuffer({
    size: 64,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  gpu.device.queue.writeBuffer(params, 0, new Uint32Array(16).fill(1));
  const entries = [...buffers, params].map((buffer, binding) => ({
    binding,
    resource: { buffer },
  }));
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.device.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  const last = buffers[buffers.length - 1];
  const staging = gpu.device.createBuffer({
    size: last.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  encoder.copyBufferToBuffer(last, 0, staging, 0, last.size);
  gpu.device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  for (const buffer of [...buffers, params, staging]) buffer.destroy();
  return values;
}

const minus = { name: "minus", expression: "a - b", functions: [], constants: [] };
const same = { kind: "same", terms: 0 } as const;
const up = (n: number) => Float32Array.from({ length: n }, (_, i) => i + 1);

gpuTest(
  "withEpilogue() applies a function to scalars and vectors as they are written",
  async (gpu) => {
    for (const [element, n] of [["f32", 4], ["vec4<f32>", 16]] as const) {
      const base = doubled(element);
      const made = withEpilogue(base, "y", minus, [same]);
      const found = await run(gpu, made, [up(n), up(n).fill(0.5), new Float32Array(n)]);
      assertEquals(found, up(n).map((x) => 2 * x - 0.5));
      // So that its pipeline is found again.
      assert(made === withEpilogue(base, "y", { ...minus }, [same]));
    }
  },
);

gpuTest("inPlace() reads an input where the output goes", async (gpu) => {
  const made = inPlace(doubled("f32"), "x", "y");
  assertEquals(Object.keys(made.reads), []);
  assertEquals(await run(gpu, made, [up(4)]), up(4).map((x) => 2 * x));
});

gpuTest("ROUND_HALF rounds as half precision does", async (gpu) => {
  const round = kernel({
    name: "round",
    reads: { x: "f32" },
    writes: { y: "f32" },
    params: { n: "u32" },
    tune: { wg: 64 },
    workgroups: () => 1,
    globals: () => ROUND_HALF,
    body: () => "  for (var i = lane; i < arrayLength(&y); i += 64u) { y[i] = round_half(x[i]); }",
  });
  const edges = [0, 1, 1.5, 65504, 65519, 65520, 1e30, Infinity, 2 ** -14, 2 ** -24, 2 ** -25, 1e-7]
    .flatMap((x) => [x, x * (1 + 2 ** -11), x * (1 - 2 ** -12), x * (1 + 3 * 2 ** -11)]);
  const random = Array.from({ length: 4000 }, (_, i) => Math.sin(i) * 2 ** (i % 44 - 27));
  const x = Float32Array.from([...edges, ...edges.map((x) => -x), ...random, NaN]);
  assertEquals(await run(gpu, round, [x, new Float32Array(x.length)]), x.map(Math.f16round));
});

Deno.test("kernels that are not so are refused", () => {
  assertThrows(
    () => withEpilogue(doubled("f32"), "x", minus, [same]).source({ wg: 4 }),
    TypeError,
    "nothing is assigned to x[…]",
  );
  assertThrows(
    () => inPlace(doubled("f32"), "z", "y"),
    TypeError,
    "Cannot run doubled in place: z must be read as y is written, found none and f32",
  );
});
