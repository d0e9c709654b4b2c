/**
 * Two backends' scores of the same texts, compared.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Predictor } from "../lib/infer/predict.ts";
import { largest } from "../lib/train/metrics.ts";

/** Backends may differ by this share of the largest score. */
const TOLERANCE = 1e-4;

/** Scores of texts, in batches of 32. */
export async function scoresOf(
  predictor: Predictor,
  texts: readonly string[],
): Promise<number[][]> {
  const ids = texts.map((text) => predictor.encode(text));
  const scorer = await predictor.open(32, Math.max(...ids.map((own) => own.length)));
  try {
    return await scorer.score(ids);
  } finally {
    await scorer.close();
  }
}

/**
 * Asserts that scores agree, and labels too, but where the two highest scores lie closer together
 * than backends may differ.
 *
 * @returns For how many texts they lie so close, and the largest difference as a share.
 */
export function assertSameLabels(
  actual: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
): { close: number; error: number } {
  assertEquals(actual.length, expected.length);
  const most = Math.max(...expected.flat().map(Math.abs));
  let [close, error] = [0, 0];
  expected.forEach((scores, i) => {
    scores.forEach((score, c) => error = Math.max(error, Math.abs(score - actual[i][c]) / most));
    const [first, second] = scores.toSorted((a, b) => b - a);
    if (first - second < TOLERANCE * most) close++;
    else assertEquals(largest(actual[i]), largest(scores), `text ${i}`);
  });
  assert(error <= TOLERANCE, `scores differ by ${error} of the largest`);
  return { close, error };
}
