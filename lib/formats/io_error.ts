/**
 * What went wrong with a file, in words for an error message.
 *
 * @returns The reason without a full stop, such as `permission denied`.
 */
export function ioReason(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno was not granted this access (${error.message.split(",")[0]})`;
  }
  if (error instanceof Deno.errors.NotFound) return "no such file or folder";
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full";
  // Deno has no code for EFBIG.
  if (code === "EFBIG" || (error instanceof Error && error.message.includes("(os error 27)"))) {
    return "it is larger than a file may be here (see ulimit -f, or the file system's limit)";
  }
  if (code === "EROFS") return "the file system is read-only";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory || code === "EISDIR") return "it is a folder";
  if (error instanceof Deno.errors.NotADirectory) return "a part of the path is not a folder";
  return error instanceof Error ? error.message : String(error);
}

/**
 * The bytes of a whole file.
 *
 * @throws {Error} If the file cannot be read; the message names it and the reason.
 */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
}
