/**
 * The command that may read what runs were made from, where this one may not.
 *
 * @module
 */

import { EMBEDDED } from "./base.ts";
import { shellWord } from "./shell_word.ts";
import { type Places, readPlaces } from "./tuned.ts";

/** Where what runs were made from lies, as the command line names it. */
export type GivenPlaces = Partial<Places>;

const NAMES = ["base", "data", "start"] as const;

/**
 * Refuses runs that were made from what lies outside of the folders that this process may read.
 *
 * @param name What the command line names: a run, or the folder of all of them.
 * @param folders The runs' folders.
 * @throws {Error} With the command to type in its place
 */
export async function checkPlaces(
  name: string,
  folders: readonly string[],
  given: GivenPlaces,
): Promise<void> {
  const flags: string[] = [];
  let closed = false;
  for (const folder of folders) {
    // A note that cannot be read is told of its run.
    const noted = await readPlaces(folder).catch(() => null);
    const words: string[] = [];
    for (const flag of NAMES) {
      const place = given[flag] ?? noted?.[flag];
      if (place === undefined || place === EMBEDDED || place.startsWith("hf:")) continue;
      words.push(`--${flag} ${shellWord(place)}`);
      const { state } = await Deno.permissions.query({ name: "read", path: place });
      if (state !== "granted") closed = true;
    }
    flags.push(words.join(" "));
  }
  if (!closed) return;
  const kinds = [...new Set(flags)];
  const commands = kinds.length === 1
    ? [`./tunegrid verify ${shellWord(name)} ${kinds[0]}`]
    : folders.map((folder, i) => `./tunegrid verify ${shellWord(folder)} ${flags[i]}`.trimEnd());
  throw new Error(
    `Cannot verify ${name}: what it was made from lies outside of the folders that this command may ` +
      `read; name them, so that they are opened to it:\n${
        commands.map((command) => `  ${command}`).join("\n")
      }`,
  );
}
