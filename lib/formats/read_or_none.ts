import { ioReason } from "./io_error.ts";

/**
 * The text of a file; null where there is none.
 *
 * @throws {Error} If it cannot be read.
 */
export async function readOrNone(path: string): Promise<string | null> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
}
