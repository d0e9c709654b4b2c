/**
 * The command that exports a run.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type ExportFormat, exportFormats, exportRun } from "./export.ts";
import { findRun } from "./find_run.ts";
import { openTuned } from "./tuned.ts";

/** What `--help` prints. */
export const usage = `Exports a finished run as a folder with a model card.

  deno task export --run ID --to FORMAT --out DIR

  --run ID|DIR     the run: its folder, or the beginning of its id
  --to FORMAT      onnx         model.onnx and the tokenizer, for ONNX Runtime
                   peft         adapter_config.json and adapter_model.safetensors (LoRA, IA3, prompts,
                                prefixes)
                   adapterhub   adapter_config.json, adapter.safetensors and the head (adapters)
                   huggingface  a whole model for transformers (full, head, bitfit; LoRA and IA3 with
                                --merged)
                   safetensors  what was trained, in this project's own terms (every method)
  --out DIR        the folder; made by the command
  --merged         merge the delta into the base's weights (onnx, huggingface)
  --base DIR       the base, where it does not lie where the run found it
  --base-name ID   the base's id on the Hugging Face Hub, for files and card (its folder's name)
  --runs DIR       where runs are looked for by their id (runs)
  --force          replace an earlier export in DIR`;

const TEXTS = ["run", "to", "out", "base", "base-name", "runs"] as const;
const FLAGS = ["merged", "force", "help"] as const;

/**
 * Exports the run that a command line names.
 *
 * @returns The exit code.
 */
export async function exportMain(args: readonly string[]): Promise<number> {
  try {
    const flags = readArguments(args);
    if (flags.help) {
      console.log(usage);
      return 0;
    }
    const { run, to, out } = flags;
    const folder = await findRun(run, flags.runs ?? "runs");
    const tuned = await openTuned(folder, flags.base);
    const files = await exportRun(tuned, {
      ...{ to, out, merged: flags.merged, force: flags.force },
      baseName: flags["base-name"],
    });
    console.log(`Exported ${tuned.run.approach} (${tuned.run.id}) to ${out}:`);
    for (const file of files) {
      const { size } = await Deno.stat(`${out}/${file}`);
      console.log(`  ${file}  ${size.toLocaleString("en")} bytes`);
    }
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

interface Arguments {
  readonly run: string;
  readonly to: ExportFormat;
  readonly out: string;
  readonly base?: string;
  readonly "base-name"?: string;
  readonly runs?: string;
  readonly merged: boolean;
  readonly force: boolean;
  readonly help: boolean;
}

function readArguments(args: readonly string[]): Arguments {
  const flags = parseArgs([...args], {
    string: [...TEXTS],
    boolean: [...FLAGS],
    unknown: (arg, key) => {
      if (arg === "") return false;
      const known = [...TEXTS, ...FLAGS].map((name) => `--${name}`).join(", ");
      throw new TypeError(
        key === undefined
          ? `Cannot use argument ${JSON.stringify(arg)}: only options are taken: ${known}`
          : `Cannot use option ${arg}: no such option; there are ${known}`,
      );
    },
  }) as unknown as Arguments;
  if (flags.help) return flags;
  for (const name of ["run", "to", "out"] as const) {
    if (flags[name] === undefined || flags[name] === "") {
      throw new TypeError(`Cannot export without --${name}: use --run ID --to FORMAT --out DIR`);
    }
  }
  if (!exportFormats.includes(flags.to)) {
    throw new RangeError(
      `Cannot export to ${JSON.stringify(flags.to)}: --to must be ${exportFormats.join(" or ")}`,
    );
  }
  return flags;
}
