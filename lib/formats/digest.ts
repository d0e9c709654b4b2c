import { createHash } from "node:crypto";
import { ioReason } from "./io_error.ts";

const CHUNK = 1 << 20; // bytes

/** SHA-256 of bytes, or of a text's UTF-8 bytes, as 64 lower-case hexadecimal digits. */
export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * SHA-256 of a file, read in pieces of 1 MiB.
 *
 * @returns 64 lower-case hexadecimal digits.
 * @throws {Error} If the file cannot be read.
 */
export async function sha256File(path: string): Promise<string> {
  try {
    using file = await Deno.open(path);
    const hash = createHash("sha256");
    const chunk = new Uint8Array(CHUNK);
    for (let n = await file.read(chunk); n !== null; n = await file.read(chunk)) {
      hash.update(chunk.subarray(0, n));
    }
    return hash.digest("hex");
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
}

/**
 * JSON with one form for one value: keys in code-unit order, no white space; properties that are
 * undefined are left out.
 *
 * @throws {TypeError} If the value holds what JSON cannot say (NaN, infinities, functions, bigint,
 * class instances, typed arrays, undefined in an array); the message gives its place.
 */
export function canonicalJson(value: unknown): string {
  return canonical(value, "value");
}

/** SHA-256 of {@linkcode canonicalJson} of the value: equal values, equal digests. */
export function digestJson(value: unknown): string {
  return sha256(canonicalJson(value));
}

function canonical(value: unknown, place: string): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item, i) => canonical(item, `${place}[${i}]`)).join(",")}]`;
  }
  if (typeof value === "object" && isPlain(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    entries.sort(([a], [b]) => a < b ? -1 : 1);
    return `{${
      entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item, `${place}.${key}`)}`)
        .join(",")
    }}`;
  }
  const kind = typeof value === "object" ? value.constructor?.name : typeof value;
  throw new TypeError(
    `Cannot write ${place} as JSON: ${kind} ${
      typeof value === "number" ? value : ""
    } has no JSON form`.replaceAll("  ", " "),
  );
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
