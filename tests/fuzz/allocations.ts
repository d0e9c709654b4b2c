/**
 * How much memory code asks for by size: typed arrays, buffers, and arrays of a given length.
 *
 * @module
 */

const BUFFERS = [
  "ArrayBuffer",
  "Uint8Array",
  "Int8Array",
  "Uint16Array",
  "Int16Array",
  "Float16Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
] as const;

/** More than this at once is refused, so that a test that finds it does not take the machine down. */
const MOST = 2 ** 30;

/** What is thrown in place of an allocation of a gigabyte or more. */
export class TooMuch extends Error {
  override name = "TooMuch";
}

// deno-lint-ignore no-explicit-any
type Constructor = any;

/**
 * Runs code and counts the bytes of everything that it makes with a size that it names: elements of
 * typed arrays, and eight bytes for each place of `new Array(n)` and `Array.from({ length: n })`.
 */
export async function countAllocations<T>(
  code: () => Promise<T>,
): Promise<{ result: T | Error; bytes: number }> {
  const all = globalThis as unknown as Record<string, Constructor>;
  const originals = new Map<string, Constructor>();
  let bytes = 0;
  const add = (length: unknown, size: number): void => {
    if (typeof length !== "number" || !(length >= 0) || !Number.isFinite(length)) return;
    bytes += length * size;
    if (length * size >= MOST) throw new TooMuch(`${length} × ${size} bytes asked for`);
  };
  for (const name of BUFFERS) {
    const original = all[name];
    originals.set(name, original);
    const size = original.BYTES_PER_ELEMENT ?? 1;
    all[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        add(args[0], size);
        return Reflect.construct(target, args, newTarget);
      },
    });
  }
  const RealArray = Array;
  const from = (source: unknown, ...rest: unknown[]) => {
    const isSized = typeof source === "object" && source !== null && "length" in source &&
      !(Symbol.iterator in source);
    add(isSized ? source.length : undefined, 8);
    // deno-lint-ignore no-explicit-any
    return (RealArray.from as any)(source, ...rest);
  };
  const sized = (args: unknown[]) => add(args.length === 1 ? args[0] : undefined, 8);
  originals.set("Array", RealArray);
  all.Array = new Proxy(RealArray, {
    construct(target, args, newTarget) {
      sized(args);
      return Reflect.construct(target, args, newTarget);
    },
    apply(target, self, args) {
      sized(args);
      return Reflect.apply(target, self, args);
    },
    get: (target, key, receiver) => key === "from" ? from : Reflect.get(target, key, receiver),
  });
  try {
    return { result: await code(), bytes };
  } catch (error) {
    return { result: error as Error, bytes };
  } finally {
    for (const [name, original] of originals) all[name] = original;
  }
}
