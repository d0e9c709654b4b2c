import { Random } from "../data/random.ts";
import { corruptSpans } from "../data/span_corruption.ts";
import type { Pair } from "./pretrain.ts";

/** What {@linkcode spanBatches} draws from. */
export interface SpanSource {
  /** Sentences as ids, each with its end-of-sequence token. */
  readonly sentences: readonly (readonly number[])[];
  /** Ids of the sentinels, in order. */
  readonly sentinels: readonly number[];
  /** The end-of-sequence id. */
  readonly eosId: number;
}

/** Batches of corrupted sentences: drawn with replacement, a function of seed and step. */
export function spanBatches(
  { sentences, sentinels, eosId }: SpanSource,
  seed: number,
  batchSize: number,
): (step: number) => Pair[] {
  return (step) => {
    const random = new Random(seed, "pretrain", step);
    return Array.from({ length: batchSize }, () => {
      const sentence = sentences[random.below(sentences.length)];
      return corruptSpans(sentence, { sentinels, eosId, random });
    });
  };
}
