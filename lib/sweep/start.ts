/**
 * Starts an experiment script, with the methods and the engine of this project.
 *
 * @module
 */

import { checkOnnxRuntimeGranted } from "../infer/onnx_runtime.ts";
import { methods } from "../peft/index.ts";
import type { Experiment } from "./experiment.ts";
import { main } from "./main.ts";
import type { PublishedTable } from "./published.ts";

/** An experiment that a script offers. */
export interface Preset {
  /** What it does and how it is called, for `--help`. */
  readonly about: string;
  /** What is run without arguments. */
  readonly experiment: Experiment;
  /** Results to stand beside ours. */
  readonly published?: PublishedTable;
}

/**
 * Runs a script's experiment from a command line and ends the process; see `main`.
 *
 * @param args The command line's words.
 */
export async function start(
  { about, experiment, published }: Preset,
  args: readonly string[],
): Promise<never> {
  return await main(experiment, args, {
    about,
    published,
    methods,
    command: Deno.args,
    // Loaded only when there is something to run or to plan: they bring the whole engine.
    prepare: async (resolved) => {
      if (resolved.evalBackend === "ort") checkOnnxRuntimeGranted();
      return await (await import("./cell_runner.ts")).prepareSweep(resolved);
    },
    plan: async (resolved) => await (await import("./cell_runner.ts")).planSweep(resolved),
    dryRun: async (resolved) => await (await import("./dry_run.ts")).dryRun(resolved, published),
  });
}
