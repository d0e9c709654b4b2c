/**
 * The command that verifies runs.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { findRun } from "./find_run.ts";
import { CERTIFICATE, isDone, readRun, type Verdict } from "./run_folder.ts";
import { checkPlaces } from "./verify_command.ts";
import { type Certificate, Verifier, writeCertificate } from "./verify.ts";

/** What `--help` prints. */
export const usage =
  `Runs finished cells again from what their folders say, and compares them bit by bit.

  deno task verify RUN|DIR [options]

  RUN|DIR       a run: its folder, or the beginning of its id; or a folder of runs
  --base DIR    --data DIR   --start DIR   where they do not lie where the runs found them
  --runs DIR    where runs are looked for by their id (runs)

Weights, the loss of every step, metrics and predictions must be the same. Where Deno, the adapter or
a version is another one, that is said, and losses and accuracies may differ by a stated tolerance.
Each run gets a certificate, ${CERTIFICATE}, which tables written later show.`;

const TEXTS = ["base", "data", "start", "runs"] as const;

/**
 * Verifies what a command line names.
 *
 * @returns The exit code: 0 where all runs are the same, within tolerance where that applies.
 */
export async function verifyMain(
  args: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<number> {
  try {
    const flags = readArguments(args);
    if (flags.help) {
      console.log(usage);
      return 0;
    }
    const folders = await runsOf(flags.name, flags.runs ?? "runs");
    const { base, data, start } = flags;
    await checkPlaces(flags.name, folders, { base, data, start });
    const verifier = new Verifier({ base, data, start, signal });
    const counts: Record<Verdict | "not verified", number> = {
      "identical": 0,
      "within tolerance": 0,
      "different": 0,
      "not verified": 0,
    };
    try {
      for (const [i, folder] of folders.entries()) {
        const run = (await readRun(folder))!;
        const name = `[${
          i + 1
        }/${folders.length}] ${run.approach}, seed ${run.cell.seed} (${run.id})`;
        try {
          const certificate = await verifier.verify(folder);
          await writeCertificate(folder, certificate);
          counts[certificate.verdict]++;
          console.log(`${name}: ${certificate.verdict}`);
          for (const line of reasons(certificate)) console.log(`  ${line}`);
        } catch (error) {
          signal.throwIfAborted();
          counts["not verified"]++;
          console.log(`${name}: not verified\n  ${messageOf(error)}`);
        }
      }
    } finally {
      verifier.close();
    }
    const told = Object.entries(counts).filter(([, count]) => count > 0);
    console.log(told.map(([verdict, count]) => `${count} ${verdict}`).join(", "));
    return counts.different + counts["not verified"] > 0 ? 1 : 0;
  } catch (error) {
    console.error(`error: ${messageOf(error)}`);
    return 1;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reasons({ verdict, inputs, surroundings, differences, tolerance }: Certificate): string[] {
  const stated = tolerance === null ? [] : [
    `Compared within ${tolerance.accuracy} of accuracy and ${
      100 * tolerance.loss
    } % of loss, as the ` +
    "same bits are not promised here",
  ];
  return [...surroundings, ...stated, ...inputs, ...(verdict === "identical" ? [] : differences)];
}

/** A run, or all finished runs of a folder, by id. */
async function runsOf(name: string, runs: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(name)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  const names = entries.map((entry) => entry.name);
  if (entries.length === 0 || names.includes("run.json")) return [await findRun(name, runs)];
  const found: string[] = [];
  for (const { name: id, isDirectory } of entries) {
    const folder = `${name.replace(/\/+$/, "")}/${id}`;
    if (isDirectory && /^[0-9a-f]{16}$/.test(id) && await isDone(folder)) found.push(folder);
  }
  if (found.length === 0) {
    throw new Error(`Cannot verify ${name}: it holds no finished run; run its sweep first`);
  }
  return found.sort();
}

function readArguments(args: readonly string[]) {
  const flags = parseArgs([...args], {
    string: TEXTS,
    boolean: ["help"],
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; use ${
          [...TEXTS, "help"].map((name) => `--${name}`).join(", ")
        }`,
      );
    },
  });
  const [name, ...rest] = flags._.map(String);
  if (!flags.help && (name === undefined || rest.length > 0)) {
    throw new TypeError("Cannot verify: name one run or one folder of runs; see --help");
  }
  return { ...flags, name };
}
