/**
 * What an adapter can do at best, measured: f32 arithmetic by chains of multiply-adds, and memory
 * traffic by a copy.
 *
 * @module
 */

import { type Kernel, kernel, packParams } from "../kernels/kernel.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { measure } from "./measure.ts";

/** An adapter's measured peaks. */
export interface Peak {
  /** f32 GFLOP/s, a multiply-add counting as two. */
  readonly gflops: number;
  /** GB/s read and written by a copy much larger than caches. */
  readonly gbps: number;
}

const CHAINS = 8;
const UNROLLED = 16;
const LOOPS = 64;

/** Independent chains x ← a·x + b of four lanes each, in every invocation. */
const arithmetic: Kernel = kernel({
  name: "peak_fma",
  reads: {},
  writes: { y: "vec4<f32>" },
  params: { a: "f32", b: "f32" },
  tune: { wg: 64, groups: 256 },
  workgroups: (_, { groups }) => groups,
  body: ({ wg }) => {
    const chains = Array.from({ length: CHAINS }, (_, i) => i);
    const link = chains.map((i) => `x${i} = fma(x${i}, a, b);`).join(" ");
    return `
  let a = vec4<f32>(p.a);
  let b = vec4<f32>(p.b);
  ${chains.map((i) => `var x${i} = vec4<f32>(f32(lane + ${i}u));`).join("\n  ")}
  for (var i = 0u; i < ${LOOPS}u; i++) {
    ${Array(UNROLLED).fill(link).join("\n    ")}
  }
  y[group * ${wg}u + lane] = ${chains.map((i) => `x${i}`).join(" + ")};`;
  },
});

const copy: Kernel = kernel({
  name: "peak_copy",
  reads: { x: "vec4<f32>" },
  writes: { y: "vec4<f32>" },
  params: { n: "u32" },
  tune: { wg: 128 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  body: ({ wg }) => `
  let i = group * ${wg}u + lane;
  if (i < p.n) { y[i] = x[i]; }`,
});

const measured = new WeakMap<Gpu, Promise<Peak>>();

/** Measures an adapter's peaks, once. */
export function peakOf(gpu: Gpu): Promise<Peak> {
  const known = measured.get(gpu) ?? measurePeak(gpu);
  measured.set(gpu, known);
  return known;
}

async function measurePeak(gpu: Gpu): Promise<Peak> {
  const { device } = gpu;
  // 64 MiB is beyond a processor's caches, 512 MiB beyond a GPU's.
  const bytes = Math.min(gpu.maxBinding, (gpu.adapter.software ? 64 : 512) * 2 ** 20);
  // A processor is busy with far fewer invocations.
  const tune = { wg: 64, groups: gpu.adapter.software ? 256 : 16384 };
  const buffer = (size: number, more = 0) =>
    device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | more });
  const [x, y, sums] = [buffer(bytes), buffer(bytes), buffer(tune.groups * tune.wg * 16)];
  const uniforms: GPUBuffer[] = [];
  const launch = (
    one: Kernel,
    constants: typeof one.tune,
    params: Record<string, number>,
    buffers: GPUBuffer[],
  ) => {
    const groups = one.workgroups(params, constants);
    const packed = packParams(one, params, groups);
    const uniform = device.createBuffer({
      size: packed.length,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    uniforms.push(uniform);
    device.queue.writeBuffer(uniform, 0, packed);
    const { pipeline, layout } = gpu.pipeline(one, constants);
    const bindGroup = device.createBindGroup({
      layout,
      entries: [...buffers, uniform].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const rows = Math.ceil(groups / device.limits.maxComputeWorkgroupsPerDimension);
    return (count: number) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      for (let i = 0; i < count; i++) pass.dispatchWorkgroups(Math.ceil(groups / rows), rows);
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
  };
  try {
    const works = [
      { name: "arithmetic", submit: launch(arithmetic, tune, { a: 0.5, b: 0.25 }, [sums]) },
      { name: "copy", submit: launch(copy, copy.tune, { n: bytes / 16 }, [x, y]) },
    ];
    const [arithmeticTime, copyTime] = await measure(gpu, works);
    const flops = 2 * 4 * CHAINS * UNROLLED * LOOPS * tune.wg * tune.groups;
    return { gflops: flops / arithmeticTime.best / 1e6, gbps: 2 * bytes / copyTime.best / 1e6 };
  } finally {
    for (const one of [x, y, sums, ...uniforms]) one.destroy();
  }
}
