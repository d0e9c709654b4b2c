import { ioReason } from "./io_error.ts";

/**
 * What a file can be made of: text (written as UTF-8), bytes, or several pieces of bytes in order,
 * which may still be made while the first are written.
 */
export type FileContent =
  | string
  | Uint8Array
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>;

const unfinished = new Set<string>();

/**
 * Writes a file so that nobody ever sees half of it: written beside its target under a temporary
 * name, synchronised to the disk, then renamed over the target.
 *
 * @param path Target; its folder must exist, an older file is replaced.
 * @throws {Error} If the file cannot be written; the target is then as it was.
 */
export async function writeFileAtomic(path: string, data: FileContent): Promise<void> {
  await throughTemporary(path, data, (temporary) => Deno.rename(temporary, path));
}

/**
 * Publishes a file unless it is already there; of several that try, exactly one succeeds.
 *
 * The content is complete before the name appears: a hard link to the finished temporary file
 * is made, which fails where the name exists (link(2)).
 *
 * @param path Target; its folder must exist, on a file system with hard links.
 * @returns Whether this call published it; false when it was already there.
 * @throws {Error} If the file cannot be written.
 */
export async function createFileExclusive(path: string, data: FileContent): Promise<boolean> {
  return await throughTemporary(path, data, async (temporary) => {
    let created = true;
    try {
      await Deno.link(temporary, path);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      // A network file system may repeat a request that had succeeded: then the link is ours.
      created = (await Deno.stat(temporary)).nlink === 2;
    }
    await Deno.remove(temporary).catch(() => {}); // published or not: that no longer changes
    return created;
  });
}

/**
 * Removes the temporary files of writes still under way; for a handler that ends the process.
 */
export function discardUnfinishedWrites(): void {
  for (const temporary of unfinished) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // Already renamed or never created: nothing is left of it.
    }
  }
  unfinished.clear();
}

async function throughTemporary<T>(
  path: string,
  data: FileContent,
  publish: (temporary: string) => Promise<T>,
): Promise<T> {
  const slash = path.lastIndexOf("/") + 1;
  const temporary = `${path.slice(0, slash)}.${path.slice(slash)}.${crypto.randomUUID()}.tmp`;
  unfinished.add(temporary);
  try {
    await writeAndSync(temporary, data);
    return await publish(temporary);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    const reason = error instanceof Deno.errors.NotFound
      ? `its folder ${path.slice(0, slash) || "."} does not exist; create it first`
      : ioReason(error);
    throw new Error(`Cannot write ${path}: ${reason}`, { cause: error });
  } finally {
    unfinished.delete(temporary);
  }
}

async function writeAndSync(path: string, data: FileContent): Promise<void> {
  const pieces = typeof data === "string"
    ? [new TextEncoder().encode(data)]
    : data instanceof Uint8Array
    ? [data]
    : data;
  using file = await Deno.open(path, { write: true, createNew: true });
  for await (const piece of pieces) {
    for (let done = 0; done < piece.length;) done += await file.write(piece.subarray(done));
  }
  await file.sync();
}
