/**
 * What every reader of files must do with a damaged one: give a right result or refuse it with a
 * clear error, soon, and without asking for much more memory than the file has bytes.
 *
 * @module
 */

import fc from "fast-check";
import { countAllocations } from "./allocations.ts";
import { type Mutation, mutations } from "./mutations.ts";

/** Inputs for each reader. */
const RUNS = Deno.env.get("TUNEGRID_ALL") === "1" ? 10_000 : 300;

/** Decides the inputs; fast-check prints it, and the path to a smallest one, when it finds one. */
const SEED = 20_240_229;

/** Milliseconds that one input may take, on a machine that does other work too. */
const LIMIT_MS = 2000;

/** Seconds after which a reader hangs. */
const HANG = 60;

/** An allocation may be this many times the bytes of the file, beyond {@linkcode FLOOR}. */
const FACTOR = 64;

/** Bytes that reading may take however small the file is. */
const FLOOR = 2 ** 20;

/** A file's bytes. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A reader, and what it is given. */
export interface Reader {
  readonly name: string;
  /** Whole files as the project's own writers, or the libraries that they follow, make them. */
  readonly seeds: readonly Bytes[];
  /** Damages a file. */
  readonly mutate: (seed: Bytes, mutation: Mutation) => Bytes;
  /** Reads a file, and throws where the result is not what its type says. */
  readonly read: (bytes: Bytes) => unknown;
  /** Part of the inputs, where one takes long; 1 unless given. */
  readonly share?: number;
  /** Instead of {@linkcode FACTOR}. */
  readonly factor?: number;
}

/** Every reader that {@linkcode fuzz} was called for. */
export const readers: Reader[] = [];

/** Thrown by a reader's `read` where a result is wrong. */
export class WrongResult extends Error {
  override name = "WrongResult";
}

/** Refuses a result that is not so. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new WrongResult(what);
}

/** Damaged files of a reader. */
export function inputs({ seeds, mutate }: Reader): fc.Arbitrary<Bytes> {
  return fc.tuple(fc.nat(seeds.length - 1), mutations).map(([seed, list]) =>
    list.reduce<Bytes>((bytes, mutation) => mutate(bytes, mutation), seeds[seed])
  );
}

/** What is wrong with a reader's answer to an input; null where nothing is. */
export async function fault(reader: Reader, input: Bytes): Promise<string | null> {
  const start = performance.now();
  const { result, bytes } = await countAllocations(async () => await reader.read(input));
  const ms = performance.now() - start;
  const most = FLOOR + (reader.factor ?? FACTOR) * input.length;
  if (bytes > most) return `asks for ${bytes} bytes of memory for ${input.length} of file`;
  if (ms > LIMIT_MS) return `takes ${Math.round(ms)} ms`;
  return result instanceof Error ? faultOf(result) : null;
}

/** Messages of the language or a library, not of a reader that refuses. */
const INTERNAL =
  /^Cannot (read propert|destructure|convert (undefined|null|object|a (BigInt|Symbol))|mix BigInt|set propert|access|create propert|perform|delete)|is not (iterable|a function|a constructor|an object|defined)|Invalid (array|typed array|string|array buffer) length|Maximum call stack|out of memory|undefined$|\[object /;

function faultOf(error: Error): string | null {
  const about = `${error.name}: ${error.message.slice(0, 300)}\n${
    error.stack?.split("\n    at ").slice(1, 5).join("\n  ")
  }`;
  if (!error.message.startsWith("Cannot ")) return `not a clear error: ${about}`;
  if (INTERNAL.test(error.message)) return `an error from inside: ${about}`;
  if (error.message.length > 4000) {
    return `a message of ${error.message.length} characters: ${about}`;
  }
  return null;
}

/** Registers the test of a reader. */
export function fuzz(reader: Reader): void {
  readers.push(reader);
  const runs = Math.ceil(RUNS * (reader.share ?? 1));
  Deno.test(`${reader.name}: ${runs} damaged files are read right or refused clearly`, async () => {
    const watchdog = new Worker(new URL("./watchdog.ts", import.meta.url), { type: "module" });
    const watch = (name: string | null, input = "") =>
      watchdog.postMessage({ name, input, seconds: HANG });
    try {
      for (const seed of reader.seeds) await reader.read(seed); // Whole files are read.
      await fc.assert(
        fc.asyncProperty(inputs(reader), async (input) => {
          watch(reader.name, shown(input));
          const found = await fault(reader, input);
          if (found !== null) throw new Error(`${found}\ninput: ${shown(input)}`);
        }),
        { seed: SEED, numRuns: runs },
      );
    } finally {
      watchdog.terminate();
    }
  });
}

function shown(input: Bytes): string {
  const text = JSON.stringify(new TextDecoder("latin1").decode(input.subarray(0, 2000)));
  return input.length > 2000 ? `${text}… (${input.length} bytes)` : text;
}

/** A folder of one test file's own, and paths in it. */
export function folderFor(name: string): string {
  const dir = Deno.makeTempDirSync({ prefix: `fuzz_${name}_` });
  globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  return dir;
}
