import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Random } from "../../lib/data/random.ts";
import { corruptSpans } from "../../lib/data/span_corruption.ts";

const EOS = 1;
const sentinels = Array.from({ length: 20 }, (_, i) => 900 + i);

/** Puts the target's spans back into the input. */
function reassemble(input: readonly number[], target: readonly number[]): number[] {
  const spans = new Map<number, number[]>();
  let current: number[] = [];
  for (const id of target.slice(0, -1)) {
    if (sentinels.includes(id)) spans.set(id, current = []);
    else current.push(id);
  }
  return input.flatMap((id) => spans.get(id) ?? [id]);
}

Deno.test("corruptSpans() loses nothing: input and target make the text again", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 800 }), { minLength: 2, maxLength: 60 }),
      fc.nat(1_000_000),
      (text, seed) => {
        const random = new Random(seed, "spans");
        const { input, target } = corruptSpans([...text, EOS], { sentinels, eosId: EOS, random });
        assertEquals(reassemble(input, target), [...text, EOS]);
        assertEquals(target.at(-1), EOS);
        // 15 % of the tokens, at least one, and never all.
        const corrupted = target.filter((id) => id !== EOS && !sentinels.includes(id)).length;
        assertEquals(
          corrupted,
          Math.min(Math.max(Math.round(0.15 * text.length), 1), text.length - 1),
        );
      },
    ),
    { seed: 11, numRuns: 400 },
  );
});

Deno.test("corruptSpans() marks spans by sentinels in order, and every place is hit", () => {
  const hits = new Array(12).fill(0);
  for (let seed = 0; seed < 600; seed++) {
    const text = Array.from({ length: 12 }, (_, i) => 10 + i);
    const random = new Random(seed, "spans");
    const { input, target } = corruptSpans(text, { sentinels, eosId: EOS, random });
    const marks = input.filter((id) => sentinels.includes(id));
    assertEquals(marks, sentinels.slice(0, marks.length));
    for (const id of target) if (id >= 10 && id < 22) hits[id - 10]++;
  }
  assert(Math.min(...hits) > 40, `places hit: ${hits}`);
});

Deno.test("corruptSpans() refuses what is too short, and options out of range", () => {
  const random = new Random(0);
  const options = { sentinels, eosId: EOS, random };
  assertThrows(() => corruptSpans([5, EOS], options), RangeError, "at least 2");
  const dense = { ...options, noiseDensity: 1 };
  assertThrows(() => corruptSpans([5, 6, 7], dense), RangeError, "density between 0 and 1");
  const few = { ...options, sentinels: [], noiseDensity: 0.5 };
  assertThrows(() => corruptSpans([5, 6, 7, 8], few), RangeError, "too few");
});
