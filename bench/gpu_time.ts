/**
 * Time by the device's own clock.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import type { LaunchTime } from "../lib/gpu/profile.ts";
import type { Program } from "../lib/gpu/program.ts";

/**
 * Milliseconds that each list of programs takes on the device, each in one pass: medians of some
 * rounds in which the lists take turns. Null where the adapter has no timestamps.
 */
export async function gpuTimes(
  { device }: Gpu,
  lists: readonly (readonly Program[])[],
  rounds = 5,
): Promise<number[] | null> {
  if (!device.features.has("timestamp-query")) return null;
  const count = 2 * lists.length;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const usage = GPUBufferUsage;
  const resolved = device.createBuffer({
    size: count * 8,
    usage: usage.QUERY_RESOLVE | usage.COPY_SRC,
  });
  const staging = device.createBuffer({ size: count * 8, usage: usage.COPY_DST | usage.MAP_READ });
  const samples: number[][] = lists.map(() => []);
  try {
    for (let round = 0; round <= rounds; round++) {
      const encoder = device.createCommandEncoder();
      lists.forEach((programs, i) => {
        const timestampWrites = {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        };
        const pass = encoder.beginComputePass({ timestampWrites });
        for (const program of programs) program.encode(pass);
        pass.end();
      });
      encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, count * 8);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const ticks = new BigUint64Array(staging.getMappedRange().slice(0));
      staging.unmap();
      if (round === 0) continue; // compiles
      samples.forEach((list, i) => list.push(Number(ticks[2 * i + 1] - ticks[2 * i]) / 1e6));
    }
  } finally {
    querySet.destroy();
    resolved.destroy();
    staging.destroy();
  }
  return samples.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]);
}

/** What one kernel of a program takes in all. */
export interface KernelShare {
  readonly kernel: string;
  readonly launches: number;
  readonly milliseconds: number;
  /** Of all launches, from 0 to 1. */
  readonly share: number;
}

/** Launches added up by `key`, the costliest first. */
export function byKernel(
  launches: readonly LaunchTime[],
  key: (launch: LaunchTime) => string = ({ kernel }) => kernel,
): KernelShare[] {
  const total = launches.reduce((sum, { microseconds }) => sum + microseconds, 0);
  return [...Map.groupBy(launches, key)].map(([kernel, own]) => {
    const time = own.reduce((sum, { microseconds }) => sum + microseconds, 0);
    const share = total === 0 ? 0 : time / total;
    return { kernel, launches: own.length, milliseconds: time / 1e3, share };
  }).sort((a, b) => b.milliseconds - a.milliseconds);
}
