import { parseArgs } from "@std/cli/parse-args";
import { bytesText } from "../formats/bytes_text.ts";
import { fetchSnapshot } from "./fetch_snapshot.ts";
import type { HubAccess } from "./hub_fetch.ts";
import { quietReporter, terminalReporter } from "./progress.ts";
import { HUB_URL } from "./repository.ts";
import { HUB_CACHE } from "./snapshot.ts";
import { readToken, withoutToken } from "./token.ts";

const usage = `Fetches a base or data set of the Hugging Face Hub into ${HUB_CACHE}.

  deno task fetch ID [--revision R] [--data] [--to DIR]

  ID             owner/name on the Hub
  --revision R   branch, tag or commit (main)
  --data         a data set: its Parquet, TSV and CSV files; without it a base: its safetensors,
                 configuration and tokenizer
  --to DIR       into this folder in place of the cache

What a stopped fetch left is gone on with. Every file is verified by size and digest. For gated and
private ones, HF_TOKEN in the environment holds a token; it is sent to the Hub alone.`;

/** What differs in tests. */
export type HubMainOptions = Partial<Omit<HubAccess, "token">>;

/**
 * Fetches what a command line asks for.
 *
 * @returns The exit code.
 */
export async function fetchMain(
  args: readonly string[],
  { url = HUB_URL, ...access }: HubMainOptions = {},
): Promise<number> {
  const reporter = Deno.stdout.isTerminal()
    ? terminalReporter(Deno.stdout.writable, (line) => console.log(line))
    : quietReporter((line) => console.log(line));
  let token: string | null = null;
  try {
    const { id, revision, data, to, help } = readArguments(args);
    if (help || id === undefined) {
      console.log(usage);
      return help ? 0 : 1;
    }
    token = readToken();
    const repository = { kind: data ? "dataset" as const : "model" as const, id };
    const { folder, snapshot, kept } = await fetchSnapshot({
      repository,
      revision,
      access: { ...access, url, token },
      to,
      reporter,
    });
    await reporter.close();
    const { commit, files } = snapshot;
    const bytes = bytesText(files.reduce((sum, { size }) => sum + size, 0));
    const flag = data ? "--data" : "--base";
    console.log(
      `${id} at ${commit}: ${kept ? "all here already" : "complete"}, ${bytes}\n` +
        `Use it with ${flag} ${to ?? `hf:${id}@${revision}`}` +
        (to === undefined ? ` (${folder})` : ""),
    );
    return 0;
  } catch (error) {
    await reporter.close();
    const message = error instanceof Error ? error.message : String(error);
    console.error(withoutToken(`error: ${message}`, token));
    return 1;
  }
}

function readArguments(args: readonly string[]) {
  const { _: words, revision, data, to, help } = parseArgs([...args], {
    string: ["_", "revision", "to"],
    boolean: ["data", "help"],
    default: { revision: "main" },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; there are --revision, --data, --to and --help`,
      );
    },
  });
  if (words.length > 1) {
    throw new TypeError(`Cannot fetch ${words.join(" and ")} at once: name one id`);
  }
  if (to === "") throw new TypeError("Cannot use --to without a folder");
  return {
    id: words[0] as string | undefined,
    revision,
    data,
    to: to?.replace(/\/+$/, "") || to,
    help,
  };
}
