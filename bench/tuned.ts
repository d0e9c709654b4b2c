/**
 * What measured kernels are worth: training steps on them beside the same steps on the rule's.
 *
 * @module
 */

import { embeddedConfig, embeddedTokenizer } from "../lib/data/embedded/base.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { KernelTuner } from "../lib/gpu/tuner.ts";
import { kernelRecord } from "../lib/gpu/tuning.ts";
import { TUNE_SECONDS } from "../lib/train/execution.ts";
import type { BenchOptions } from "./main.ts";
import { measure } from "./measure.ts";
import type { Row } from "./report.ts";
import { openStep, T5_SMALL, T5_TINY, type Workload } from "./workload.ts";

/** The steps; T5-small's by name alone on a processor. */
function workloads({ adapter }: Gpu, { filter, quick }: BenchOptions): Workload[] {
  const embedded: Workload = {
    ...{ ...T5_TINY, name: "embedded LoRA", batch: 32, length: 16 },
    config: embeddedConfig(embeddedTokenizer()),
  };
  const large = filter === "" && (adapter.software || quick) ? [] : [T5_SMALL];
  return [T5_TINY, embedded, ...large].filter(({ name }) => name.includes(filter));
}

/** Measures each step's kernels for as long as a sweep would, then both ways to run it, in turns. */
export async function benchTuned(gpu: Gpu, options: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of workloads(gpu, options)) {
    options.print(`tuned ${workload.name}`);
    rows.push(await measureTuned(gpu, workload));
  }
  return rows;
}

async function measureTuned(gpu: Gpu, workload: Workload): Promise<Row> {
  gpu.kernelChoices.clear();
  gpu.chosenKernels.clear();
  const rule = await openStep(gpu, workload);
  try {
    const before = kernelRecord(gpu);
    const started = performance.now();
    await new KernelTuner(gpu, { seconds: TUNE_SECONDS }).tune();
    const seconds = (performance.now() - started) / 1000;
    const tuned = await openStep(gpu, workload);
    try {
      const [byRule, byTuner] = await measure(gpu, [
        { name: "rule", submit: rule.submit },
        { name: "tuned", submit: tuned.submit },
      ]);
      const after = kernelRecord(gpu);
      return {
        step: workload.name,
        shape: `${workload.batch}×${workload.length}`,
        "size classes": Object.keys(before).length,
        measured: gpu.kernelChoices.size,
        changed: Object.keys(before).filter((size) => before[size] !== after[size]).length,
        "tuning s": seconds,
        "rule ms": byRule.median,
        "± %": 100 * byRule.spread,
        "tuned ms": byTuner.median,
        "tuned ± %": 100 * byTuner.spread,
        "tuned ÷ rule": byTuner.median / byRule.median,
      };
    } finally {
      tuned.session.destroy();
    }
  } finally {
    rule.session.destroy();
    gpu.kernelChoices.clear();
  }
}
