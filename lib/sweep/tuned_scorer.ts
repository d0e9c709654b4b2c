/**
 * A finished run as something that predicts, on either backend.
 *
 * @module
 */

import { openGpu } from "../gpu/device.ts";
import type { Backend } from "../infer/backend.ts";
import { openOrtScorer } from "../infer/ort_scorer.ts";
import type { Predictor } from "../infer/predict.ts";
import type { Scorer } from "../infer/scorer.ts";
import type { OnnxProvider } from "../infer/session.ts";
import { fullPrecisionNames } from "../peft/method.ts";
import { openGpuScorer } from "../train/gpu_scorer.ts";
import { longestText } from "../train/longest_text.ts";
import { makeTask } from "../train/task.ts";
import { cachedOnnx } from "./onnx_cache.ts";
import type { Tuned, TunedModel } from "./tuned.ts";

/** What computes a run's scores. */
export interface ScorerBackend {
  readonly backend: Backend;
  /** Of ONNX Runtime; `cpu` unless given. */
  readonly provider?: OnnxProvider;
  /** Folder that keeps ONNX exports; `.cache/onnx` unless given. */
  readonly cache?: string;
}

/** A finished run as something that predicts. */
export function tunedPredictor(
  tuned: Tuned,
  { backend, provider, cache }: ScorerBackend,
): Predictor {
  const { labels, maxLength, encode, tokenizer, cell } = tuned;
  return {
    labels,
    maxLength,
    encode,
    isCut: (text) => tokenizer.encode(cell.task.prefix + text).length > maxLength,
    open: async (rows, longest) =>
      backend === "webgpu"
        ? await openOnGpu(tuned, rows, longest)
        : await openOrtScorer(await cachedOnnx(tuned, cache), {
          provider,
          rows,
          padId: tokenizer.padId,
        }),
  };
}

/**
 * A scorer of a trained model on a device of its own.
 *
 * @param rows Texts of a batch.
 * @param maxLength Tokens of the longest text.
 * @throws Error where there is no WebGPU adapter, RangeError where the model does not fit it.
 */
export async function openOnGpu(
  { model, attached, tokenizer, labelWords, values, cell }: TunedModel,
  rows: number,
  maxLength: number,
): Promise<Scorer> {
  const gpu = await openGpu();
  try {
    const scorer = await openGpuScorer({
      gpu,
      task: makeTask(model, tokenizer.padId, labelWords),
      values,
      trained: fullPrecisionNames(attached),
      // What was tuned in half precision is scored so where the adapter can.
      precision: gpu.adapter.features.includes("shader-f16") ? cell.precision : "f32",
      rows,
      maxLength,
      longest: longestText(model, attached),
    });
    return {
      name: scorer.name,
      score: (texts) => scorer.score(texts),
      close: async () => {
        await scorer.close();
        gpu.destroy();
      },
    };
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}
