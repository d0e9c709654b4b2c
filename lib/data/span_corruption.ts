import type { Random } from "./random.ts";

/** A corrupted text: what a text-to-text model reads and what it has to write. */
export interface CorruptedSpans {
  /** The text with each span replaced by a sentinel, then the end of sequence. */
  readonly input: number[];
  /** Each sentinel followed by its span, then the end of sequence. */
  readonly target: number[];
}

/** How spans are chosen and marked. */
export interface SpanCorruptionOptions {
  /** Ids of `<extra_id_0>`, `<extra_id_1>`, …: one marks each span, in order. */
  readonly sentinels: readonly number[];
  readonly eosId: number;
  readonly random: Random;
  /** Share of the tokens to corrupt; 0.15 by default. */
  readonly noiseDensity?: number;
  /** Mean length of a span, in tokens; 3 by default. */
  readonly meanSpanLength?: number;
}

/**
 * T5's span corruption: replaces random spans of a text by sentinels, which the target spells out.
 *
 * round(density · length) tokens, at least one and not all, are cut into round(noise / mean length)
 * spans, at least one, and so are the tokens between them, both uniformly; the pattern is then
 * rotated by a random number of tokens, since otherwise a short text, with one span, would always
 * lose its end. A span that the rotation splits counts as two.
 *
 * @param ids A text's ids, at least two; a final end of sequence is set aside.
 * @throws {RangeError} If the text is too short, an option is out of range, or sentinels are too few.
 * Source: Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text
 * Transformer, JMLR 21 (2020), §3.1.4 and §3.3.4.
 */
export function corruptSpans(
  ids: readonly number[],
  { sentinels, eosId, random, noiseDensity = 0.15, meanSpanLength = 3 }: SpanCorruptionOptions,
): CorruptedSpans {
  const text = ids.at(-1) === eosId ? ids.slice(0, -1) : ids;
  if (text.length < 2) {
    throw new RangeError(`Cannot corrupt a text of ${text.length} tokens: at least 2 are needed`);
  }
  if (!(noiseDensity > 0 && noiseDensity < 1 && meanSpanLength >= 1)) {
    throw new RangeError(
      `Cannot corrupt spans of mean length ${meanSpanLength} at density ${noiseDensity}: ` +
        "a density between 0 and 1 and a length of at least 1 are needed",
    );
  }
  const noise = noiseMask(text.length, noiseDensity, meanSpanLength, random);
  const input: number[] = [];
  const target: number[] = [];
  let spans = 0;
  text.forEach((id, i) => {
    if (noise[i] && !noise[i - 1]) {
      if (spans === sentinels.length) {
        throw new RangeError(
          `Cannot corrupt a text of ${text.length} tokens: ${sentinels.length} sentinels are too ` +
            "few for its spans; use shorter texts or fewer, longer spans",
        );
      }
      input.push(sentinels[spans]);
      target.push(sentinels[spans++]);
    }
    (noise[i] ? target : input).push(id);
  });
  return { input: [...input, eosId], target: [...target, eosId] };
}

/** Which tokens are corrupted. */
function noiseMask(length: number, density: number, mean: number, random: Random): boolean[] {
  const noise = Math.min(Math.max(Math.round(length * density), 1), length - 1);
  const spans = Math.min(Math.max(Math.round(noise / mean), 1), length - noise);
  const kept = randomParts(length - noise, spans, random);
  const lost = randomParts(noise, spans, random);
  const mask = kept.flatMap((run, i) => [
    ...Array<boolean>(run).fill(false),
    ...Array<boolean>(lost[i]).fill(true),
  ]);
  const start = random.below(length);
  return [...mask.slice(start), ...mask.slice(0, start)];
}

/** Cuts a length into parts of at least 1, every way being equally likely. */
function randomParts(length: number, parts: number, random: Random): number[] {
  const cuts = random.shuffle(Array.from({ length: length - 1 }, (_, i) => i + 1))
    .slice(0, parts - 1).sort((a, b) => a - b);
  return [...cuts, length].map((cut, i) => cut - (cuts[i - 1] ?? 0));
}
