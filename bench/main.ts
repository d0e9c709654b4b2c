/**
 * `deno task bench [matmul | step | all] [--only TEXT] [--save]`: measures, prints tables, and saves JSON
 * lines to `bench/results/` where asked.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { benchMatmul } from "./matmul.ts";
import { benchStep } from "./step.ts";
import { formatTable, type Row, saveRows, setting } from "./report.ts";

/** A bench: measures the cases whose label holds `filter`, and tells of progress. */
type Bench = (gpu: Gpu, filter: string, print: (line: string) => void) => Promise<Row[]>;

const BENCHES: Readonly<Record<string, Bench>> = { matmul: benchMatmul, step: benchStep };

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["only"], boolean: ["save"] });
  const [which = "all", ...rest] = flags._.map(String);
  const unknown = Object.keys(flags).filter((name) => !["_", "only", "save"].includes(name));
  if (rest.length > 0 || unknown.length > 0 || (which !== "all" && !(which in BENCHES))) {
    console.error(
      `Cannot run bench ${[...Deno.args].join(" ")}: use ${
        Object.keys(BENCHES).join(" | ")
      } | all [--only TEXT] [--save]`,
    );
    return 2;
  }
  const gpu = await openGpu();
  try {
    const { adapter, deno, cores } = setting(gpu);
    console.log(`${adapter}, ${cores} cores, Deno ${deno}`);
    for (const [name, bench] of Object.entries(BENCHES)) {
      if (which !== "all" && which !== name) continue;
      const rows = await bench(gpu, flags.only ?? "", (line) => console.error(line));
      console.log(formatTable(rows));
      if (flags.save) console.log(`Saved ${await saveRows(name, gpu, rows)}`);
    }
    return 0;
  } finally {
    gpu.destroy();
  }
}

if (import.meta.main) Deno.exit(await main());
