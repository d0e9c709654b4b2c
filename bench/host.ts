/**
 * What the host takes for a step: to encode and submit launches, whatever they compute.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { Session } from "../lib/gpu/session.ts";
import type { Node } from "../lib/graph/node.ts";
import { variable } from "../lib/graph/leaves.ts";
import { scale } from "../lib/ops/elementwise.ts";
import { accumulate } from "../lib/ops/accumulate.ts";
import type { BenchOptions } from "./main.ts";
import { median, spread } from "./statistics.ts";
import type { Row } from "./report.ts";

const LAUNCHES = 300;
const REPEATS = 40;

/**
 * Milliseconds to encode 300 launches and to submit them, apart, the device waited for in between.
 *
 * Launches are of one element each: on an adapter that computes on the processor the submit would
 * otherwise share the processor with the work.
 */
export async function benchHost(gpu: Gpu, { filter }: BenchOptions): Promise<Row[]> {
  if (!"host".includes(filter)) return [];
  const session = new Session(gpu);
  try {
    const roots: Node[] = [];
    const x = variable("x", [1], "weight");
    for (let i = 0; i < LAUNCHES / 2; i++) {
      roots.push(accumulate(variable(`y${i}`, [1], "gradient"), scale(x, i + 2)));
    }
    const program = session.program(roots, {});
    await session.build();
    const { queue } = gpu.device;
    const encoded: number[] = [];
    const submitted: number[] = [];
    for (let i = 0; i < REPEATS + 5; i++) {
      const start = performance.now();
      const recorded = session.encode([program]);
      const between = performance.now();
      queue.submit([recorded]);
      const end = performance.now();
      await session.wait();
      if (i < 5) continue; // compiles
      encoded.push(between - start);
      submitted.push(end - between);
    }
    const per300 = (times: readonly number[]) =>
      times.map((time) => time * LAUNCHES / program.dispatches);
    const both = encoded.map((time, i) => time + submitted[i]);
    return [["encode", encoded], ["submit", submitted], ["both", both]].map(([what, times]) => {
      const own = per300(times as number[]);
      return {
        what: `${what} 300 launches`,
        launches: program.dispatches,
        "median ms": median(own),
        "± %": 100 * spread(own),
        "best ms": Math.min(...own),
      };
    });
  } finally {
    session.destroy();
  }
}
