/**
 * Whole training steps: forward, backward and optimizer by the device's clock, the host's time apart.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { profile } from "../lib/gpu/profile.ts";
import { byKernel, gpuTimes } from "./gpu_time.ts";
import type { BenchOptions } from "./main.ts";
import { measure } from "./measure.ts";
import { peakOf } from "./peak.ts";
import type { Row } from "./report.ts";
import { median } from "./statistics.ts";
import { openStep, type Workload, WORKLOADS } from "./workload.ts";

/** The workloads that are asked for: T5-small by name alone on a processor, or where none is quick. */
function chosen(gpu: Gpu, { filter, quick }: BenchOptions): Workload[] {
  const half = gpu.device.features.has("shader-f16");
  return WORKLOADS.filter(({ name, precision }) =>
    name.includes(filter) && (precision === "f32" || half) &&
    (filter !== "" || !name.startsWith("T5-small") || !(gpu.adapter.software || quick)) &&
    (filter !== "" || !quick || name === WORKLOADS[0].name)
  );
}

/** Milliseconds of each workload's step and of its parts. */
export async function benchStep(gpu: Gpu, options: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of chosen(gpu, options)) {
    options.print(`step ${workload.name}`);
    rows.push(await measureStep(gpu, workload));
  }
  return rows;
}

async function measureStep(gpu: Gpu, workload: Workload): Promise<Row> {
  const step = await openStep(gpu, workload);
  const { session, training, updating, forward } = step;
  try {
    const [timing] = await measure(gpu, [{ name: workload.name, submit: step.submit }]);
    const times = await gpuTimes(gpu, [[forward], [training], [updating]]);
    const host: number[] = [];
    for (let i = 0; i < 20; i++) {
      const start = performance.now();
      session.write(training, step.inputs);
      const recorded = session.encode([training, updating]);
      host.push(performance.now() - start);
      gpu.device.queue.submit([recorded]);
      await session.wait();
    }
    const losses = (await session.readVariables(["losses"])).get("losses")!;
    if (!losses.every(Number.isFinite)) {
      throw new Error(`Cannot time ${workload.name}: its loss is not finite`);
    }
    const { gflops } = await peakOf(gpu);
    const speed = step.operations / timing.median / 1e6;
    return {
      step: workload.name,
      shape: `${workload.batch}×${workload.length}`,
      precision: workload.precision,
      "median ms": timing.median,
      "± %": 100 * timing.spread,
      "examples/s": 1000 * workload.batch / timing.median,
      "GPU forward ms": times?.[0] ?? "–",
      "GPU backward ms": times === null ? "–" : Math.max(0, times[1] - times[0]),
      "GPU optimizer ms": times?.[2] ?? "–",
      // Writing inputs and recording launches; a software adapter works inside the submit.
      "host ms": median(host),
      launches: training.dispatches + updating.dispatches,
      "GFLOP/s": speed,
      "of peak": speed / gflops,
      "planned MiB": session.memory().total / 2 ** 20,
    };
  } finally {
    session.destroy();
  }
}

/** Where a step's time goes, by kernel, each launch timed by itself. */
export async function benchProfile(gpu: Gpu, options: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of chosen(gpu, options)) {
    options.print(`profile ${workload.name}`);
    const { session, training, updating, inputs } = await openStep(gpu, workload);
    try {
      session.write(training, inputs);
      session.run([training, updating]); // compiles
      const repeats = workload.name.startsWith("T5-small") && gpu.adapter.software ? 1 : 5;
      const launches = [
        ...await profile(gpu, training, repeats),
        ...await profile(gpu, updating, repeats),
      ];
      const sizes = (params: Readonly<Record<string, number>>) =>
        SIZES.filter((name) => name in params).map((name) => `${name}=${params[name]}`).join(" ");
      const key = options.sizes
        ? ({ kernel, params }: typeof launches[number]) => `${kernel} ${sizes(params)}`
        : undefined;
      for (const { kernel, launches: count, milliseconds, share } of byKernel(launches, key)) {
        rows.push({
          step: workload.name,
          kernel,
          launches: count,
          ms: milliseconds,
          "of GPU time": share,
        });
      }
    } finally {
      session.destroy();
    }
  }
  return rows;
}

/** Parameters that are told of a launch. */
const SIZES = ["m", "n", "k", "batch_i", "batch_j", "rows", "cols", "heads", "queries", "keys"];
