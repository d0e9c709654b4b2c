/**
 * A tuned model as an ONNX file: token ids in, logits of the classes out.
 *
 * @module
 */

import packageFile from "../../deno.json" with { type: "json" };
import { lower } from "../graph/lower.ts";
import type { OnnxBuilder, OnnxGraph, OnnxPort, OnnxValue } from "../graph/onnx.ts";
import { symbol } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import { mergeMethod } from "../peft/merge.ts";
import type { WeightValues } from "../train/initialize.ts";
import { type LabelWords, makeTask } from "../train/task.ts";
import { cellId } from "./cell.ts";
import type { TunedModel } from "./tuned.ts";

/** How a tuned model is written. */
export interface ExportOnnxOptions {
  /** Whether the delta is merged into the base's weights, where the method can be. */
  readonly merged?: boolean;
  /** Bytes of parameters above which they lie in a file of their own; 2 GiB less a little. */
  readonly externalAbove?: number;
}

/** What was written. */
export interface ExportedOnnx {
  /** Names of the files, in the folder. */
  readonly files: readonly string[];
  /** Version of the operator set. */
  readonly opset: number;
  /** What the model is given, with its dynamic axes. */
  readonly inputs: readonly OnnxPort[];
  /** What it gives. */
  readonly outputs: readonly OnnxPort[];
}

const [B, T] = [symbol("B"), symbol("T")];

/** The model's inputs: what Hugging Face's tokenizers give, right-padded. */
const PORTS: readonly OnnxPort[] = [
  { name: "input_ids", type: "int64", shape: [B, T] },
  { name: "attention_mask", type: "int64", shape: [B, T] },
];

/**
 * Lowers a task's scores to ONNX.
 *
 * `input_ids` and `attention_mask` int64 [batch, length], right-padded, to `logits` f32
 * [batch, classes]; both axes are dynamic. What a text-to-text model reads besides, its first decoder
 * token and the label words, is part of the graph.
 *
 * @param model With its method attached.
 * @param labelWords Null where a head classifies.
 * @throws TypeError naming an operation that has no lowering.
 */
export function lowerScores(model: Model, labelWords: LabelWords | null): OnnxGraph {
  const scores = makeTask(model, 0, labelWords).scores();
  const sources: Record<string, (graph: OnnxBuilder) => OnnxValue> = {
    ids: () => "input_ids",
    mask: (graph) => graph.cast("attention_mask", "float"),
    last: (graph) => {
      const count = graph.node("ReduceSum", ["attention_mask", graph.ints([1])], { keepdims: 0 });
      return graph.node("Sub", [count, graph.ints(1)]);
    },
  };
  if (model.textToText !== undefined && labelWords !== null) {
    const { startId } = model.textToText;
    const words = labelWords.ids.map(([first]) => first);
    sources.start_ids = (graph) => graph.node("Expand", [graph.ints(startId), graph.shape([B, 1])]);
    sources.candidates = (graph) => graph.ints(words);
  }
  return lower(new Map([["logits", scores]]), { ports: PORTS, sources });
}

/**
 * Writes a tuned model to a folder as `model.onnx`, and `model.onnx_data` where its weights need it.
 *
 * The file's `metadata_props` hold what else a prediction takes but for the tokenizer: see
 * {@linkcode onnxMetadata}.
 *
 * @param folder Exists.
 * @throws TypeError where `merged` is asked for and the method cannot be merged.
 */
export async function exportOnnx(
  tuned: TunedModel,
  folder: string,
  { merged = false, externalAbove }: ExportOnnxOptions = {},
): Promise<ExportedOnnx> {
  const { model, values } = merged ? mergedModel(tuned) : tuned;
  const graph = lowerScores(model, tuned.labelWords);
  const { writeOnnx } = await import("../onnx/model_file.ts");
  const files = await writeOnnx(folder, graph, {
    values,
    name: `${tuned.base.name}-${tuned.method.name}`,
    version: packageFile.version,
    metadata: onnxMetadata(tuned, merged),
    externalAbove,
  });
  return { files, opset: graph.opset, inputs: graph.inputs, outputs: graph.outputs };
}

/** The base's own model, and values with which it computes what base and delta do. */
function mergedModel(
  { cell, base, method, options, labels, values }: TunedModel,
): { model: Model; values: WeightValues } {
  const model = base.build(labels.length, method.needsHead || cell.task.head);
  return { model, values: mergeMethod(model, method, options, values) };
}

/**
 * What an exported file says of itself, all texts: `labels` (a JSON list, in class order), `task`
 * (`head` or `words`), `label_words` (a JSON list), `prefix` (stands before every text), `max_length`
 * (tokens), `pad_id`, `base`, `method` (JSON), `merged`, `run` (the cell's id), `tunegrid_version`.
 */
export function onnxMetadata(tuned: TunedModel, merged: boolean): Record<string, string> {
  const { cell, base, labels, labelWords, maxLength, tokenizer, method, options } = tuned;
  return {
    labels: JSON.stringify(labels),
    task: labelWords === null ? "head" : "words",
    ...labelWords === null ? {} : { label_words: JSON.stringify(labelWords.words) },
    prefix: cell.task.prefix,
    max_length: `${maxLength}`,
    pad_id: `${tokenizer.padId}`,
    base: base.name,
    method: JSON.stringify({ name: method.name, options }),
    merged: `${merged}`,
    run: cellId(cell),
    tunegrid_version: packageFile.version,
  };
}
