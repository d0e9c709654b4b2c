/**
 * `deno task bench [part …] [--only TEXT] [--quick] [--peers] [--markdown]`: measures, prints tables,
 * and writes JSON lines to `bench/results/`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { benchEndToEnd } from "./end_to_end.ts";
import { benchFeatures } from "./features.ts";
import { benchHost } from "./host.ts";
import { benchKernels } from "./kernels.ts";
import { benchLlama1b } from "./llama_1b.ts";
import { benchMatmul } from "./matmul.ts";
import { benchPack } from "./pack.ts";
import { peerRows, runPeers } from "./peers/main.ts";
import { engineNames, serveEngine } from "./peers/worker.ts";
import { formatMarkdown, formatTable, type Row, saveRows, setting, versions } from "./report.ts";
import { benchProfile, benchStep } from "./step.ts";
import { benchTuned } from "./tuned.ts";

/** What a bench is asked for. */
export interface BenchOptions {
  /** Cases whose label holds this. */
  readonly filter: string;
  /** Fewer cases: one of each family. */
  readonly quick: boolean;
  /** Whether a profile tells launches of other sizes apart. */
  readonly sizes: boolean;
  /** Tells of progress. */
  readonly print: (line: string) => void;
}

/** Measures its cases. */
type Bench = (gpu: Gpu, options: BenchOptions) => Promise<Row[]>;

const BENCHES: Readonly<Record<string, Bench>> = {
  host: benchHost,
  matmul: benchMatmul,
  kernels: benchKernels,
  step: benchStep,
  tuned: benchTuned,
  profile: benchProfile,
  end_to_end: benchEndToEnd,
  features: benchFeatures,
  pack: benchPack,
};

/** A part and what of it. */
type Wanted = readonly [part: string, filter: string];

/** `gpu`: what README.md beside this file lists as measured on a GPU alone. */
const GPU_LINES: readonly Wanted[] = [
  ["host", ""],
  ["matmul", "4096×4096×4096"],
  ["step", "T5-small"],
  ["tuned", "T5-small"],
  ["profile", "T5-small"],
  ["pack", "T5-small"],
  ["peers", "matmul 4096"],
  ["peers", "T5-small"],
];

const FLAGS = ["quick", "sizes", "peers", "markdown", "save"] as const;

const USAGE = `use deno task bench [${Object.keys(BENCHES).join(" | ")} | peers | gpu …] ` +
  "[--only TEXT] [--quick] [--sizes] [--peers] [--markdown] [--no-save], or llama-1b [DIR]";

async function main(args: string[]): Promise<number> {
  if (args[0] === "worker" && engineNames.includes(args[1])) {
    await serveEngine(args[1]);
    return 0;
  }
  if (args[0] === "llama-1b") return await benchLlama1b(args[1]);
  const flags = parseArgs(args, {
    string: ["only"],
    boolean: [...FLAGS],
    default: { save: true },
    negatable: ["save"],
  });
  const parts = flags._.map(String);
  const known = ["_", "only", ...FLAGS];
  const unknown = [
    ...parts.filter((name) => !(name in BENCHES) && !["peers", "gpu"].includes(name)),
    ...Object.keys(flags).filter((name) => !known.includes(name)).map((name) => `--${name}`),
  ];
  if (unknown.length > 0) {
    console.error(`Cannot run bench: there is no ${unknown.join(", ")}; ${USAGE}`);
    return 2;
  }
  if (flags.peers) parts.push("peers");
  const wanted = (parts.length === 0 ? Object.keys(BENCHES) : parts).flatMap((part) =>
    part === "gpu" ? GPU_LINES : [[part, flags.only ?? ""] as const]
  );
  const print = (line: string) => console.error(line);
  const show = async (name: string, on: Row, rows: readonly Row[]) => {
    if (rows.length === 0) return;
    console.log(`\n${name}\n${(flags.markdown ? formatMarkdown : formatTable)(rows)}`);
    if (flags.save) console.log(`Saved ${await saveRows(name, on, rows)}`);
  };
  let opened: { gpu: Gpu; on: Row } | null = null;
  try {
    for (const [part, filter] of wanted) {
      if (part === "peers") {
        const report = await runPeers({ ...flags, filter, entry: Deno.mainModule }, print);
        await show("peers", versions(), peerRows(report.results));
        for (const { engine, reason } of report.absent) {
          console.log(`Not measured: ${engine}: ${reason}`);
        }
        continue;
      }
      if (opened === null) {
        const gpu = await openGpu();
        if (parts.includes("gpu") && gpu.adapter.software) {
          gpu.destroy();
          console.error(
            `Cannot measure what takes a GPU: ${gpu.adapter.description} computes on the processor; ` +
              "use a machine with a GPU and its driver, or name parts",
          );
          return 1;
        }
        opened = { gpu, on: await setting(gpu) };
        const facts = Object.entries(opened.on).map(([name, value]) => `${name} ${value}`);
        console.log(facts.join(", "));
      }
      const { gpu, on } = opened;
      await show(part, on, await BENCHES[part](gpu, { ...flags, filter, print }));
    }
    return 0;
  } finally {
    opened?.gpu.destroy();
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
