/**
 * Where the time of a program goes, launch by launch, by the device's own clock.
 *
 * @module
 */

import type { Params } from "../../kernels/kernel.ts";
import type { Gpu } from "./device.ts";
import type { Program } from "./program.ts";

/** One launch and the time it took. */
export interface LaunchTime {
  readonly kernel: string;
  readonly params: Params;
  readonly groups: number;
  readonly microseconds: number;
}

/**
 * Runs each launch of a program in a pass of its own and reads its timestamps.
 *
 * @param repeats Runs of the whole program, of which the median of each launch is returned.
 * @throws Error where the adapter has no timestamps.
 */
export async function profile(gpu: Gpu, program: Program, repeats = 3): Promise<LaunchTime[]> {
  const { device } = gpu;
  if (!device.features.has("timestamp-query")) {
    throw new Error("Cannot profile: the adapter has no timestamp-query");
  }
  const launches = program.describe();
  const most = 2048; // queries of one set, as many as every adapter allows a multiple of
  const samples: number[][] = launches.map(() => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (let start = 0; start < launches.length; start += most / 2) {
      const count = Math.min(most / 2, launches.length - start);
      const times = await timePasses(
        device,
        Array.from(
          { length: count },
          (_, i) => (pass: GPUComputePassEncoder) => program.encode(pass, start + i, start + i + 1),
        ),
      );
      times.forEach((time, i) => samples[start + i].push(time));
    }
  }
  return launches.map((launch, i) => {
    const sorted = samples[i].sort((a, b) => a - b);
    return { ...launch, microseconds: sorted[Math.floor(sorted.length / 2)] };
  });
}

/**
 * Microseconds that passes take by the device's clock, one after the other in one submit.
 *
 * @param passes Each records its launches; 1024 at most.
 */
export async function timePasses(
  device: GPUDevice,
  passes: readonly ((pass: GPUComputePassEncoder) => void)[],
): Promise<number[]> {
  const count = passes.length;
  const querySet = device.createQuerySet({ type: "timestamp", count: count * 2 });
  const bytes = count * 16;
  const resolved = device.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = device.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  try {
    const encoder = device.createCommandEncoder();
    for (const [i, record] of passes.entries()) {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        },
      });
      record(pass);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, count * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const ticks = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return Array.from({ length: count }, (_, i) => Number(ticks[2 * i + 1] - ticks[2 * i]) / 1000);
  } finally {
    querySet.destroy();
    resolved.destroy();
    staging.destroy();
  }
}
