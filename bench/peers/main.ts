/**
 * `deno task bench --peers`: the same work in this engine and in others, side by side.
 *
 * @module
 */

import { BERT_TINY, T5_SMALL, T5_TINY } from "../workload.ts";
import type { Row } from "../report.ts";
import { compare, type Comparison, type Effort, type PeerResult } from "./compare.ts";
import { matmulJob, modelJob, productRow } from "./jobs.ts";
import { type Command, EngineProcess } from "./process.ts";
import { NOT_WRITTEN } from "./protocol.ts";
import { engineNames } from "./worker.ts";

/** The lock file of the peers' packages: nobody else fetches them. */
const LOCK = "bench/peers/deno.lock";
const TORCH = "bench/peers/torch_engine.py";

/**
 * What PyTorch needs on a processor for a fair race: idle threads that sleep, and memory that is kept
 * rather than given back and faulted in again at every step.
 */
const TORCH_ENV = {
  OMP_WAIT_POLICY: "passive",
  MALLOC_MMAP_THRESHOLD_: String(2 ** 32),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 32),
};

/** What is compared. */
export interface PeerOptions {
  /** Fewer and shorter rounds. */
  readonly quick: boolean;
  /** Jobs whose name holds this. */
  readonly filter: string;
  /** The entry point that workers are started by, as a path or an address. */
  readonly entry: string;
}

/** Results of a comparison, and which engines did not come up. */
export interface PeerReport {
  readonly results: readonly PeerResult[];
  readonly absent: readonly { readonly engine: string; readonly reason: string }[];
}

/** Starts the engines, runs all jobs, and ends them. */
export async function runPeers(
  { quick, filter, entry }: PeerOptions,
  print: (line: string) => void,
): Promise<PeerReport> {
  const engines: EngineProcess[] = [];
  const absent: { engine: string; reason: string }[] = [];
  try {
    for (const [name, commands] of Object.entries(await commandsFor(entry))) {
      const engine = await startOne(commands).catch((error: Error) => error.message);
      if (typeof engine === "string") {
        absent.push({ engine: name, reason: engine });
        print(`${name}: not there (${engine})`);
        if (name === "ours") break;
        continue;
      }
      engines.push(engine);
      const { hello } = engine;
      print(`${hello.engine} ${hello.version} on ${hello.device}`);
    }
    if (absent.some(({ engine }) => engine === "ours")) return { results: [], absent };
    const { software } = engines[0].hello;
    const effort: Effort = quick ? { rounds: 3, roundMs: 150 } : { rounds: 9, roundMs: 300 };
    const results: PeerResult[] = [];
    for (const { name, make } of jobsFor(software)) {
      if (!name.includes(filter) || (filter === "" && software && name.startsWith("T5-small"))) {
        continue;
      }
      print(name);
      results.push(...await compare(engines, await make(), effort));
    }
    return { results, absent };
  } finally {
    for (const engine of engines) await engine.close();
  }
}

/** Results as lines of a table, without jobs that are not written for an engine. */
export function peerRows(results: readonly PeerResult[]): Row[] {
  const tried = results.filter(({ cannot }) => cannot !== NOT_WRITTEN);
  return tried.map(({ job, engine, median, spread, difference, ratio, cannot }) => ({
    job,
    engine: engine.engine,
    version: engine.version,
    "computed by": engine.device,
    "median ms": median ?? "–",
    "± %": spread === null ? "–" : Math.round(1000 * spread) / 10,
    "ours ms": ratio === null ? "–" : median! / ratio,
    "times ours": ratio === null ? "–" : Number(ratio.toPrecision(3)),
    "largest difference": difference === null ? "–" : difference.toExponential(1),
    note: cannot ?? "",
  }));
}

function jobsFor(software: boolean): { name: string; make: () => Promise<Comparison> }[] {
  const matmul = (size: number) => ({
    name: `matmul ${size}`,
    make: async () => {
      const job = await matmulJob(size);
      return { job, reference: [...await productRow(job)], tolerance: 1e-4 };
    },
  });
  const model = (workload: typeof BERT_TINY, kind: "step" | "inference", tolerance = 1e-4) => ({
    name: `${workload.name} ${kind}`,
    make: async () => ({ job: await modelJob(workload, kind), reference: null, tolerance }),
  });
  return [
    ...(software ? [512, 1024] : [512, 1024, 4096]).map(matmul),
    model(BERT_TINY, "step"),
    model(BERT_TINY, "inference"),
    model(T5_TINY, "step"),
    model(T5_SMALL, "step"),
    // Half precision rounds elsewhere in each engine.
    ...software
      ? []
      : [model({ ...T5_SMALL, name: "T5-small LoRA f16", precision: "f16" }, "step", 2e-2)],
  ];
}

/** Ways to start each engine, the first that comes up counts. */
async function commandsFor(entry: string): Promise<Record<string, Command[]>> {
  const locked = await Deno.stat(LOCK).then(() => [`--lock=${LOCK}`], () => ["--no-lock"]);
  const deno = (name: string): Command[] => [{
    program: "deno",
    args: [
      "run",
      "-A",
      "-q",
      "--no-check",
      "--node-modules-dir=none",
      ...locked,
      entry,
      "worker",
      name,
    ],
  }];
  const python = ["python3", "/usr/bin/python3"].map((program): Command => (
    { program, args: [TORCH], env: TORCH_ENV }
  ));
  return { ...Object.fromEntries(engineNames.map((name) => [name, deno(name)])), torch: python };
}

async function startOne(commands: readonly Command[]): Promise<EngineProcess> {
  let last: unknown;
  for (const command of commands) {
    try {
      return await EngineProcess.start(command);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
