/**
 * ONNX exports of runs, kept for the next prediction.
 *
 * @module
 */

import { sha256, sha256File } from "../formats/digest.ts";
import { ioReason } from "../formats/io_error.ts";
import type { OnnxGraph } from "../graph/onnx.ts";
import { exportOnnx, lowerScores } from "./export_onnx.ts";
import type { Tuned } from "./tuned.ts";

/** Where exports are kept. */
export const ONNX_CACHE = ".cache/onnx";

/** Exports that are kept, those used last. */
const KEPT = 16;

/** Seconds for which an export stays after its last use, whatever else is kept: it may be in use. */
const IN_USE = 3600;

/** Name of the file in an export's folder. */
const FILE = "model.onnx";

/**
 * The ONNX file of a run, written on first use into `<cache>/<run id>-<digest>`; the digest is that of
 * the graph and of what was trained, so that a run done again, or lowered otherwise, is written anew.
 *
 * @returns The file's path.
 * @throws Error where it cannot be written.
 */
export async function cachedOnnx(tuned: Tuned, cache: string = ONNX_CACHE): Promise<string> {
  const folder = `${cache}/${tuned.run.id}-${await exportDigest(tuned)}`;
  // Marked as used before it is looked at: then nobody removes it.
  await Deno.utime(folder, new Date(), new Date()).catch(() => {});
  if (await exists(`${folder}/${FILE}`)) return `${folder}/${FILE}`;
  // Complete before the name appears: whoever finds the folder finds all of it.
  const temporary = `${cache}/.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(temporary, { recursive: true });
    await exportOnnx(tuned, temporary);
    await Deno.rename(temporary, folder).catch(async (error) => {
      if (!await exists(`${folder}/${FILE}`)) throw error; // another process was faster
    });
  } catch (error) {
    throw new Error(`Cannot export run ${tuned.run.id} to ${folder}: ${ioReason(error)}`, {
      cause: error,
    });
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
  }
  await pruneOnnxCache(cache, Date.now());
  return `${folder}/${FILE}`;
}

/**
 * Removes exports but those used last, and what killed processes left half-written. Whatever was used
 * within the last hour stays, since another process may be about to open it.
 *
 * @param now Milliseconds since the epoch
 */
export async function pruneOnnxCache(cache: string, now: number, kept = KEPT): Promise<void> {
  const entries: { path: string; used: number; isWhole: boolean }[] = [];
  for await (const { name } of Deno.readDir(cache)) {
    const path = `${cache}/${name}`;
    const { mtime } = await Deno.stat(path).catch(() => ({ mtime: null })); // just removed
    if (mtime !== null) entries.push({ path, used: mtime.getTime(), isWhole: name[0] !== "." });
  }
  const old = entries.sort((a, b) => b.used - a.used).filter(({ isWhole }) => isWhole).slice(kept);
  for (const { path, used, isWhole } of [...old, ...entries.filter((one) => !one.isWhole)]) {
    if (now - used < 1000 * IN_USE) continue;
    // Out of sight at once, so that nobody finds half of it.
    const temporary = isWhole ? `${cache}/.${crypto.randomUUID()}.tmp` : path;
    // Where another process was faster, there is nothing left to do.
    if (isWhole && !await Deno.rename(path, temporary).then(() => true, () => false)) continue;
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
  }
}

async function exportDigest({ folder, model, attached, labelWords }: Tuned): Promise<string> {
  const delta = attached.trainable.length === 0
    ? "none"
    : await sha256File(`${folder}/delta.safetensors`);
  return sha256(`${delta} ${graphDigest(lowerScores(model, labelWords))}`).slice(0, 16);
}

function graphDigest(graph: OnnxGraph): string {
  return sha256(
    JSON.stringify(
      graph,
      (_, value) =>
        ArrayBuffer.isView(value)
          ? sha256(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
          : value,
    ),
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
