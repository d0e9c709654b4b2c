import { parseArgs } from "@std/cli/parse-args";
import { UnsupportedError } from "../formats/delta.ts";
import { ioReason } from "../formats/io_error.ts";
import { type Gpu, openGpu } from "../gpu/device.ts";
import { checkParity } from "./parity.ts";
import { type Outcome, reportText, summaryText } from "./report.ts";

/** What `--help` prints. */
export const usage = `Compares this project's models with numbers that other software computed.

  deno task parity DIR [DIR ...] [--all]

  DIR      a folder with expected.safetensors; in it or in its parent config.json,
           model.safetensors and the batch (inputs.json, or what check.json names)
  --all    every folder below it that expects something too

Relative errors are shares of the largest expected entry. Exit code 1 where a tensor is out of
tolerance or could not be compared.`;

/**
 * Checks the folders that a command line names and prints every tensor's errors.
 *
 * @returns The exit code: 0 where every expected tensor of every folder is within its bound.
 */
export async function parityMain(args: readonly string[]): Promise<number> {
  try {
    const { dirs, all, help } = readArguments(args);
    if (help) {
      console.log(usage);
      return 0;
    }
    const gpu = await openGpu();
    try {
      return await run(gpu, dirs, all);
    } finally {
      gpu.destroy();
    }
  } catch (error) {
    console.error(`error: ${messageOf(error)}`);
    return 1;
  }
}

function readArguments(args: readonly string[]): { dirs: string[]; all: boolean; help: boolean } {
  const { _: words, all, help } = parseArgs([...args], {
    string: ["_"],
    boolean: ["all", "help"],
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(`Cannot use option ${arg}: no such option; there are --all and --help`);
    },
  });
  const dirs = words.map((word) => String(word).replace(/(?<=.)\/+$/, ""));
  if (dirs.length === 0 && !help) {
    throw new TypeError("Cannot check parity: no folder is named; use deno task parity DIR");
  }
  return { dirs, all, help };
}

async function run(gpu: Gpu, dirs: readonly string[], all: boolean): Promise<number> {
  const outcomes: Outcome[] = [];
  for (const dir of dirs) {
    const below = all ? foldersBelow(dir) : [];
    // A folder of families expects nothing itself.
    if (below.length === 0 || expects(dir)) outcomes.push(await outcomeOf(gpu, dir));
    for (const sub of below) outcomes.push(await outcomeOf(gpu, sub, true));
  }
  if (all || outcomes.length > 1) console.log(summaryText(outcomes));
  return outcomes.every((one) => "passedOver" in one || "result" in one && one.result.ok) ? 0 : 1;
}

/** @param lenient Whether a kind that is not supported may be passed over. */
async function outcomeOf(gpu: Gpu, dir: string, lenient = false): Promise<Outcome> {
  try {
    const result = await checkParity(gpu, dir);
    console.log(`${reportText(result)}\n`);
    return { dir, result };
  } catch (error) {
    if (lenient && error instanceof UnsupportedError) return { dir, passedOver: error.message };
    console.error(`error: ${messageOf(error)}\n`);
    return { dir, error: messageOf(error) };
  }
}

/** Folders below, at any depth, that expect something. */
function foldersBelow(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)]
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => `${dir}/${name}`).sort()
      .flatMap((sub) => [...expects(sub) ? [sub] : [], ...foldersBelow(sub)]);
  } catch (error) {
    throw new Error(`Cannot read ${dir}: ${ioReason(error)}`, { cause: error });
  }
}

function expects(dir: string): boolean {
  try {
    return Deno.statSync(`${dir}/expected.safetensors`).isFile;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
