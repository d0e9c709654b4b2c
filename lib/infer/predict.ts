/**
 * Predictions for texts of any number, in their order, with a bounded part of them in memory.
 *
 * @module
 */

import { largest, softmax } from "../train/metrics.ts";
import type { TextPrediction } from "./prediction_format.ts";
import type { Scorer } from "./scorer.ts";

/** Batches that are read ahead, so that texts of like length can share a batch. */
const READ_AHEAD = 16;

/** Characters of text after which a part is complete, however few texts it has. */
const PART = 2 ** 22;

/** A model that tells classes apart, and what opens a scorer for it. */
export interface Predictor {
  /** Names of the classes. */
  readonly labels: readonly string[];
  /** Tokens after which a text is cut. */
  readonly maxLength: number;
  /** Token ids of a cleaned text, cut. */
  encode(text: string): number[];
  /** Whether a text that has as many ids as may be was cut. */
  isCut(text: string): boolean;
  /**
   * Makes a scorer.
   *
   * @param rows Texts of a batch.
   * @param maxLength Tokens of the longest text that it will be given.
   */
  open(rows: number, maxLength: number): Promise<Scorer>;
}

/** How texts are predicted. */
export interface PredictOptions {
  /** Texts of a batch. */
  readonly batch: number;
  /** Called with the scorer before it is first used. */
  readonly onOpen?: (scorer: Scorer) => void;
  /** Called at the end with the number of texts, and how many of them were cut. */
  readonly onEnd?: (texts: number, cut: number) => void;
}

/**
 * Predicts texts as they come; the scorer is made with the first of them and closed after the last.
 *
 * @param texts Cleaned texts, none of them empty.
 * @returns One prediction for each text, in order.
 */
export async function* predictTexts(
  predictor: Predictor,
  texts: AsyncIterable<string>,
  { batch, onOpen, onEnd }: PredictOptions,
): AsyncGenerator<TextPrediction> {
  const { labels, maxLength } = predictor;
  let scorer: Scorer | null = null;
  let [count, cut] = [0, 0];
  try {
    for await (const { part, last } of parts(texts, batch * READ_AHEAD)) {
      const ids = part.map((text) => predictor.encode(text));
      cut += part.filter((text, i) => ids[i].length >= maxLength && predictor.isCut(text)).length;
      count += part.length;
      if (scorer === null) {
        // A few texts need neither a whole batch nor programs for lengths that none of them has.
        const longest = Math.max(...ids.map((own) => own.length));
        scorer = last
          ? await predictor.open(Math.min(batch, part.length), longest)
          : await predictor.open(batch, maxLength);
        onOpen?.(scorer);
      }
      const scores = await scorer.score(ids);
      for (const [i, own] of scores.entries()) {
        yield { text: part[i], label: labels[largest(own)], probabilities: softmax(own) };
      }
    }
    onEnd?.(count, cut);
  } finally {
    await scorer?.close();
  }
}

/** Texts in parts; the last is known for it, and never empty. */
async function* parts(
  texts: AsyncIterable<string>,
  size: number,
): AsyncGenerator<{ part: string[]; last: boolean }> {
  let part: string[] = [];
  let characters = 0;
  for await (const text of texts) {
    // Handed out when another text is there, so that the last part is known to be the last.
    if (part.length >= size || characters >= PART) {
      yield { part, last: false };
      [part, characters] = [[], 0];
    }
    part.push(text);
    characters += text.length;
  }
  if (part.length > 0) yield { part, last: true };
}
