/**
 * The final evaluation of a run by ONNX Runtime, in place of the kernels that trained it.
 *
 * @module
 */

import { openOrtScorer } from "../infer/ort_scorer.ts";
import type { Tokenized } from "../train/task.ts";
import { exportOnnx } from "./export_onnx.ts";
import { ONNX_CACHE } from "./onnx_cache.ts";
import { ONNX_FILE } from "../onnx/model_file.ts";
import type { TunedModel } from "./tuned.ts";

/** Scores of splits, and what computed them. */
export interface OnnxEvaluation {
  /** In words, for instance `ONNX Runtime (cpu)`. */
  readonly by: string;
  /** Of each split, [examples][classes]. */
  readonly scores: Readonly<Record<string, number[][]>>;
}

/**
 * Scores splits of a trained model, through an export that is gone afterwards.
 *
 * @param rows Examples of a batch.
 * @throws Error where ONNX Runtime is not to be had, or the export cannot be written.
 */
export async function evaluateByOnnx(
  tuned: TunedModel,
  splits: Readonly<Record<string, readonly Tokenized[]>>,
  rows: number,
): Promise<OnnxEvaluation> {
  const folder = `${ONNX_CACHE}/.${crypto.randomUUID()}.tmp`;
  await Deno.mkdir(folder, { recursive: true });
  try {
    await exportOnnx(tuned, folder);
    const padId = tuned.tokenizer.padId;
    const scorer = await openOrtScorer(`${folder}/${ONNX_FILE}`, { rows, padId });
    try {
      const scores: Record<string, number[][]> = {};
      for (const [name, examples] of Object.entries(splits)) {
        scores[name] = await scorer.score(examples.map(({ ids }) => ids));
      }
      return { by: scorer.name, scores };
    } finally {
      await scorer.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
