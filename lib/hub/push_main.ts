import { parseArgs } from "@std/cli/parse-args";
import { bytesText } from "../formats/bytes_text.ts";
import { textColumns } from "../formats/text_columns.ts";
import type { HubMainOptions } from "./fetch_main.ts";
import { filesToPush, type LocalFile, pushFolder } from "./push.ts";
import { HUB_URL } from "./repository.ts";
import { readToken, withoutToken } from "./token.ts";

const usage = `Uploads an exported folder to the Hugging Face Hub, as one commit.

  deno task push DIR ID [--private] [--dry-run]

  DIR            a folder that deno task export made
  ID             owner/name on the Hub; made where it does not exist
  --private      make it private
  --dry-run      list what would be sent, and send nothing

HF_TOKEN in the environment holds a token that may write; it is sent to the Hub alone.`;

/**
 * Pushes what a command line asks for.
 *
 * @returns The exit code.
 */
export async function pushMain(
  args: readonly string[],
  { url = HUB_URL, ...access }: HubMainOptions = {},
): Promise<number> {
  let token: string | null = null;
  try {
    const { folder, id, isPrivate, dryRun, help } = readArguments(args);
    if (help || folder === undefined || id === undefined) {
      console.log(usage);
      return help ? 0 : 1;
    }
    if (dryRun) {
      console.log(filesText(await filesToPush(folder)));
      console.log(`Would be sent to ${id}; --dry-run sends nothing`);
      return 0;
    }
    token = readToken();
    const pushed = await pushFolder({
      folder,
      id,
      private: isPrivate,
      access: { ...access, url, token },
    });
    console.log(filesText(pushed.files));
    console.log(`Sent to ${pushed.url}, commit ${pushed.commit}`);
    if (isPrivate && !pushed.made) {
      console.log(`${id} was there before, and is as visible as it was`);
    }
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(withoutToken(`error: ${message}`, token));
    return 1;
  }
}

function filesText(files: readonly LocalFile[]): string {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const rows = [...files, { path: `${files.length} files`, size: bytes }];
  return textColumns(rows.map(({ path, size }) => [path, bytesText(size)]), [false, true]);
}

function readArguments(args: readonly string[]) {
  const { _: words, private: isPrivate, "dry-run": dryRun, help } = parseArgs([...args], {
    string: ["_"],
    boolean: ["private", "dry-run", "help"],
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; there are --private, --dry-run and --help`,
      );
    },
  });
  const [folder, id, ...rest] = words as (string | undefined)[];
  if (rest.length > 0 || folder !== undefined && id === undefined) {
    throw new TypeError("Cannot push: name one folder and one id, as in push DIR owner/name");
  }
  return { folder: folder?.replace(/\/+$/, "") || folder, id, isPrivate, dryRun, help };
}
