import { createHash } from "node:crypto";

/** A file as the Hub lists it. */
export interface RemoteFile {
  /** Path in the repository, with forward slashes. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /**
   * What it must hash to: SHA-256 of large files (Git LFS), Git's blob SHA-1 of all others. It is
   * also the file's ETag on the Hub.
   */
  readonly digest: string;
}

const CHUNK = 1 << 20; // bytes

/**
 * The digest of a file in the form of another: 64 hexadecimal digits for SHA-256, 40 for the SHA-1
 * of a Git blob, which is that of `blob`, a space, the size in decimals, a zero byte, and the bytes.
 */
export async function digestLike(path: string, digest: string): Promise<string> {
  using file = await Deno.open(path);
  const isGit = digest.length === 40;
  const hash = createHash(isGit ? "sha1" : "sha256");
  if (isGit) hash.update(`blob ${(await file.stat()).size}\0`);
  const chunk = new Uint8Array(CHUNK);
  for (let n = await file.read(chunk); n !== null; n = await file.read(chunk)) {
    hash.update(chunk.subarray(0, n));
  }
  return hash.digest("hex");
}

/** What of a local file is not as the Hub lists it; null where all is. */
export async function difference(path: string, file: RemoteFile): Promise<string | null> {
  const { size } = await Deno.stat(path);
  if (size !== file.size) return `size must be ${file.size} bytes, found ${size}`;
  const found = await digestLike(path, file.digest);
  return found === file.digest ? null : `digest must be ${file.digest}, found ${found}`;
}

/** Size of a file; null where there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile ? size : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
