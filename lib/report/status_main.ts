import { parseArgs } from "@std/cli/parse-args";
import { readStatus, statusText } from "./status.ts";

const usage = `Shows which cells of a sweep are done, running, failed and missing.

  deno task status [DIR] [--watch]

  DIR       folder of runs: the --out of a sweep (runs)
  --watch   shows it anew every two seconds, until no cell is left to run`;

/** Milliseconds between two looks. */
const INTERVAL = 2000;

/**
 * Shows where a sweep stands, as a command line asks for.
 *
 * @param args The command line's words
 * @returns The exit code
 */
export async function statusMain(args: readonly string[]): Promise<number> {
  try {
    const flags = parseArgs([...args], {
      boolean: ["watch", "help"],
      unknown: (arg, key) => {
        if (key === undefined) return true;
        throw new TypeError(`Cannot use option ${arg}: no such option; use --watch, --help`);
      },
    });
    if (flags.help) {
      console.log(usage);
      return 0;
    }
    const folders = flags._.map(String);
    if (folders.length > 1) {
      throw new TypeError(`Cannot show ${folders.join(" and ")}: name one folder of runs`);
    }
    for (;;) {
      const status = await readStatus(folders[0] ?? "runs", Date.now());
      if (flags.watch && Deno.stdout.isTerminal()) console.clear();
      console.log(statusText(status));
      const open = status.cells.some(({ state }) => state !== "done" && state !== "failed");
      if (!flags.watch || !open) return 0;
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}
