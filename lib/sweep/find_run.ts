import { ioReason } from "../formats/io_error.ts";

/** How deep below the folder of runs a run may lie: published experiments have folders of their own. */
const DEPTH = 2;

/**
 * Finds a run's folder by its path, or by its id or the beginning of it.
 *
 * @param name A folder that holds `run.json`; or the first hexadecimal digits of an id, which is
 *   looked for in the folder of runs and in the folders there.
 * @param runs The folder of runs.
 * @throws {Error} When there is no such run, or several begin so
 */
export async function findRun(name: string, runs: string): Promise<string> {
  const path = name.replace(/(?<=.)\/+$/, "");
  if (await isRun(path)) return path;
  if (!/^[0-9a-f]{1,16}$/.test(path)) {
    throw new Error(
      `Cannot find run ${name}: it is neither a folder with a run.json nor the beginning of a ` +
        `run's id (hexadecimal digits)`,
    );
  }
  const found = await runsBelow(runs, path, DEPTH);
  if (found.length === 1) return found[0];
  throw new Error(
    found.length === 0
      ? `Cannot find run ${name}: no run in ${runs} begins so; name its folder, or see the last ` +
        `column of ${runs}/table.csv`
      : `Cannot find run ${name}: ${found.length} runs begin so (${
        found.slice(0, 3).join(", ")
      }); give more of its id, or its folder`,
  );
}

async function runsBelow(folder: string, prefix: string, depth: number): Promise<string[]> {
  const found: string[] = [];
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new Error(`Cannot read runs in ${folder}: ${ioReason(error)}`, { cause: error });
  }
  for (const { name, isFile } of entries) {
    if (isFile || name.startsWith(".")) continue;
    const path = `${folder}/${name}`;
    if (/^[0-9a-f]{16}$/.test(name)) {
      if (name.startsWith(prefix) && await isRun(path)) found.push(path);
    } else if (depth > 1) found.push(...await runsBelow(path, prefix, depth - 1));
  }
  return found.sort();
}

async function isRun(folder: string): Promise<boolean> {
  try {
    return (await Deno.stat(`${folder}/run.json`)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw new Error(`Cannot read run ${folder}: ${ioReason(error)}`, { cause: error });
  }
}
