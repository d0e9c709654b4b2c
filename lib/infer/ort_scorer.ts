/**
 * Scores of texts by ONNX Runtime.
 *
 * @module
 */

import { planEvaluation } from "../data/batches.ts";
import type { Scorer } from "./scorer.ts";
import { type OnnxSessionOptions, openOnnxSession, scoreBatch } from "./session.ts";

/** What is scored, and in what batches. */
export interface OrtScorerOptions extends OnnxSessionOptions {
  /** Texts of a batch. */
  readonly rows: number;
  /** Fills short texts up. */
  readonly padId: number;
}

/**
 * Loads an exported model; texts of like length share a batch.
 *
 * @param path The ONNX file.
 * @throws Error where ONNX Runtime cannot be had, or the file is not there or does not load.
 */
export async function openOrtScorer(
  path: string,
  { rows, padId, ...options }: OrtScorerOptions,
): Promise<Scorer> {
  const session = await openOnnxSession(path, options);
  return {
    name: `ONNX Runtime (${session.provider})`,
    score: async (texts) => {
      const scores: number[][] = new Array(texts.length);
      for (const { indices } of planEvaluation(texts.map((ids) => ids.length), rows)) {
        const own = await scoreBatch(session, indices.map((i) => texts[i]), padId);
        indices.forEach((i, row) => scores[i] = own[row]);
      }
      return scores;
    },
    close: () => session.close(),
  };
}
