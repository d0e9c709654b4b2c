import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Random } from "../../lib/data/random.ts";
import { type CorruptedSpans, corruptSpans } from "../../lib/data/span_corruption.ts";

const EOS = 1;
const FIRST_SENTINEL = 1000;
const sentinels = Array.from({ length: 100 }, (_, i) => FIRST_SENTINEL + i);
const isSentinel = (id: number): boolean => id >= FIRST_SENTINEL;

/** Puts the spans that a target spells out back into the input. */
function reassemble({ input, target }: CorruptedSpans): number[] {
  const spans = new Map<number, number[]>();
  let open: number[] = [];
  for (const id of target) {
    if (isSentinel(id)) spans.set(id, open = []);
    else open.push(id);
  }
  assertEquals(open.pop(), EOS);
  return input.flatMap((id) => isSentinel(id) ? spans.get(id)! : [id]);
}

const anyText = fc.array(fc.integer({ min: 2, max: 999 }), { minLength: 2, maxLength: 80 });

Deno.test("corruptSpans() loses nothing: input and target together are the text", () => {
  fc.assert(fc.property(
    anyText,
    fc.nat(),
    fc.double({ min: 0.01, max: 0.99, noNaN: true }),
    fc.double({ min: 1, max: 6, noNaN: true }),
    (text, seed, noiseDensity, meanSpanLength) => {
      const random = new Random(seed);
      const options = { sentinels, eosId: EOS, random, noiseDensity, meanSpanLength };
      const corrupted = corruptSpans(text, options);
      assertEquals(reassemble(corrupted), [...text, EOS]);
      // The amount of noise, and sentinels in order, each once in either sequence.
      const used = corrupted.input.filter(isSentinel);
      assertEquals(used, sentinels.slice(0, used.length));
      assertEquals(corrupted.target.filter(isSentinel), used);
      const noise = Math.min(Math.max(Math.round(text.length * noiseDensity), 1), text.length - 1);
      assertEquals(corrupted.target.length, noise + used.length + 1);
      const spans = Math.min(Math.max(Math.round(noise / meanSpanLength), 1), text.length - noise);
      assert(used.length === spans || used.length === spans + 1, "a rotation splits one at most");
      // Two sentinels never touch: what lies between spans is at least one token.
      assert(corrupted.input.every((id, i, all) => !(isSentinel(id) && isSentinel(all[i + 1]))));
    },
  ));
});

Deno.test("corruptSpans() sets a final end of sequence aside", () => {
  const text = [5, 6, 7, 8, 9, 10, 11];
  const corrupt = (ids: number[]) =>
    corruptSpans(ids, { sentinels, eosId: EOS, random: new Random(3) });
  assertEquals(corrupt([...text, EOS]), corrupt(text));
});

Deno.test("corruptSpans() is a function of its random numbers and reaches every place", () => {
  const text = Array.from({ length: 12 }, (_, i) => 10 + i);
  const corrupt = (seed: number) =>
    corruptSpans(text, { sentinels, eosId: EOS, random: new Random(seed) });
  assertEquals(corrupt(7), corrupt(7));
  const times = new Map<number, number>();
  for (let seed = 0; seed < 1200; seed++) {
    for (const id of corrupt(seed).target) times.set(id, (times.get(id) ?? 0) + 1);
  }
  // 2 of 12 tokens each time: 200 expected, standard deviation about 13; 5 of them allowed.
  for (const id of text) assert(Math.abs(times.get(id)! - 200) < 65, `${id}: ${times.get(id)}`);
});

Deno.test("corruptSpans() refuses what it cannot do", () => {
  const options = { sentinels, eosId: EOS, random: new Random(0) };
  assertThrows(() => corruptSpans([5, EOS], options), RangeError, "at least 2 are needed");
  assertThrows(
    () => corruptSpans([5, 6, 7], { ...options, noiseDensity: 1 }),
    RangeError,
    "density",
  );
  assertThrows(
    () => corruptSpans([5, 6, 7], { ...options, meanSpanLength: 0.5 }),
    RangeError,
    "length of at least 1",
  );
  const long = Array.from({ length: 100 }, (_, i) => 10 + i);
  assertThrows(
    () => corruptSpans(long, { ...options, sentinels: [1000] }),
    RangeError,
    "1 sentinels are too few",
  );
});
