/**
 * Damage done to files: bytes flipped, cut off, spliced; JSON values replaced, repeated, nested.
 *
 * @module
 */

import fc from "fast-check";

/** One mutation: what it does is decided by the first number, where and how by the others. */
export type Mutation = readonly [kind: number, place: number, value: number];

/** One to four mutations, one after the other. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.tuple(fc.nat(999), fc.nat(0x7fffffff), fc.nat(0x7fffffff)),
  { minLength: 1, maxLength: 4 },
);

/** Bytes that mean something in one of the formats, or nothing in UTF-8. */
const BYTES = [0, 0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3a, 0x0a, 0x0d, 0x09, 0x7f, 0x80];
const SEQUENCES = [
  [0xff, 0xfe],
  [0xef, 0xbb, 0xbf],
  [0xc0, 0x80], // An overlong NUL.
  [0xed, 0xa0, 0x80], // Half a surrogate pair.
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], // The largest i64, and a long varint.
  [0, 0, 0, 0, 0, 0, 0x20, 0], // 2^53
  [0x22, 0x22],
];

/** Damages bytes, whatever they mean. */
export function mutateBytes(
  seed: Uint8Array<ArrayBuffer>,
  [kind, place, value]: Mutation,
): Uint8Array<ArrayBuffer> {
  const at = seed.length === 0 ? 0 : place % seed.length;
  const length = 1 + value % Math.max(1, seed.length - at);
  switch (kind % 10) {
    case 0:
    case 1: // A bit flipped.
      return edited(seed, at, 1, [seed[at] ^ (1 << (value % 8))]);
    case 2: // A byte replaced by a telling one, or by any.
      return edited(seed, at, 1, [value % 3 === 0 ? value & 255 : BYTES[value % BYTES.length]]);
    case 3:
      return edited(seed, at, 0, SEQUENCES[value % SEQUENCES.length]);
    case 4:
      return edited(seed, at, 8, SEQUENCES[value % SEQUENCES.length]);
    case 5: // Cut off: anywhere, or to nothing.
      return seed.slice(0, value % 16 === 0 ? 0 : at);
    case 6: // A stretch taken out.
      return edited(seed, at, length, []);
    case 7: // A stretch doubled.
      return edited(seed, at, 0, seed.subarray(at, at + length));
    case 8: { // A stretch of elsewhere put over this one.
      const from = value % Math.max(1, seed.length);
      const piece = seed.slice(from, from + 1 + value % 64);
      return edited(seed, at, piece.length, piece);
    }
    default: // A number in the text made another.
      return replaceNumber(seed, at, value);
  }
}

function edited(
  seed: Uint8Array<ArrayBuffer>,
  at: number,
  taken: number,
  put: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(at + put.length + Math.max(0, seed.length - at - taken));
  out.set(seed.subarray(0, at));
  out.set(put, at);
  out.set(seed.subarray(Math.min(seed.length, at + taken)), at + put.length);
  return out;
}

const NUMBERS = [
  "-1",
  "0",
  "4294967294",
  "2147483647",
  "9007199254740992",
  "18446744073709551615",
  "1e999",
  "NaN",
  "0.5",
];

function replaceNumber(
  seed: Uint8Array<ArrayBuffer>,
  from: number,
  value: number,
): Uint8Array<ArrayBuffer> {
  const isDigit = (i: number) => seed[i] >= 0x30 && seed[i] <= 0x39;
  let start = from;
  while (start < seed.length && !isDigit(start)) start++;
  let end = start;
  while (end < seed.length && isDigit(end)) end++;
  const put = new TextEncoder().encode(NUMBERS[value % NUMBERS.length]);
  return edited(seed, start, end - start, put);
}

/** JSON that takes a value's place, as text: some of it is none. */
const VALUES = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-1",
  "0.5",
  "1e-320",
  "1e300",
  "1e999",
  "NaN",
  "Infinity",
  "4294967296",
  "9007199254740991",
  "9007199254740992",
  "18446744073709551616",
  "-9007199254740993",
  '""',
  '"a"',
  '"__proto__"',
  '"constructor"',
  '"\\ud800"',
  '"\\u0000"',
  '"../../etc/passwd"',
  '"1"',
  "[]",
  "{}",
  "[[]]",
  "[null]",
  '["a",1,null,{}]',
  "[1,-1,9007199254740992]",
  '{"a":1}',
  '{"length":9007199254740991}',
  '{"a":1,"a":2}',
  '{"__proto__":{"a":1},"toString":null}',
  "[".repeat(2000) + "]".repeat(2000),
  "[".repeat(50_000) + "]".repeat(50_000),
  '{"a":'.repeat(20_000) + "1" + "}".repeat(20_000),
  "[".repeat(100_000),
  JSON.stringify("\\".repeat(5000)),
  JSON.stringify("(a+)+$".repeat(4)),
  JSON.stringify("x".repeat(20_000)),
];

const KEYS = ["__proto__", "constructor", "toString", "hasOwnProperty", "length", "", "0", "then"];

/** Damages JSON by what it means: a value, a key or an entry of some object or list in it. */
export function mutateJson(
  seed: Uint8Array<ArrayBuffer>,
  mutation: Mutation,
): Uint8Array<ArrayBuffer> {
  const [kind, place, value] = mutation;
  if (kind % 4 === 0) return mutateBytes(seed, [Math.floor(kind / 4), place, value]);
  const inner = [Math.floor(kind / 4), place, value] as const;
  try {
    const tree: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(seed));
    return new TextEncoder().encode(mutatedJson(tree, inner));
  } catch {
    return mutateBytes(seed, inner); // No longer JSON, or nested beyond what this walks.
  }
}

/** The text of a JSON value with one mutation in it. */
export function mutatedJson(tree: unknown, [kind, place, value]: Mutation): string {
  const nodes = count(tree);
  let left = place % nodes;
  const raw = VALUES[value % VALUES.length];
  const write = (node: unknown): string => {
    const here = left-- === 0;
    if (here && kind % 5 <= 1) return raw;
    if (Array.isArray(node)) {
      const items = node.map(write);
      if (here) items.splice(value % (items.length + 1), kind % 2, ...kind % 5 === 2 ? [raw] : []);
      return `[${items.join(",")}]`;
    }
    if (typeof node !== "object" || node === null) return here ? raw : JSON.stringify(node);
    const entries = Object.entries(node).map(([key, one]) => [JSON.stringify(key), write(one)]);
    if (here && entries.length > 0) {
      const at = value % entries.length;
      const [key, text] = entries[at];
      if (kind % 5 === 2) entries.splice(at, 1);
      else if (kind % 5 === 3) entries.push([key, value % 2 === 0 ? text : raw]); // Twice.
      else entries[at] = [JSON.stringify(KEYS[value % KEYS.length]), text];
    }
    return `{${entries.map(([key, text]) => `${key}:${text}`).join(",")}}`;
  };
  return write(tree);
}

function count(tree: unknown): number {
  if (typeof tree !== "object" || tree === null) return 1;
  let sum = 1;
  for (const one of Object.values(tree)) sum += count(one);
  return sum;
}
