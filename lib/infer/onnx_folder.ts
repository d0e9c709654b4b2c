/**
 * An exported folder, `model.onnx` and `tokenizer.json`, as something that predicts, without the run
 * that it came from.
 *
 * @module
 */

import { loadTokenizer } from "../data/tokenizer.ts";
import { ioReason } from "../formats/io_error.ts";
import { ONNX_FILE, readOnnxMetadata } from "../onnx/model_file.ts";
import { openOrtScorer } from "./ort_scorer.ts";
import type { Predictor } from "./predict.ts";
import type { OnnxProvider } from "./session.ts";

/**
 * Opens an exported folder; what the file says of itself tells labels, prefix and length.
 *
 * @throws Error where a file is not there, TypeError where it is not one that this project exported.
 */
export async function openOnnxFolder(
  folder: string,
  provider?: OnnxProvider,
): Promise<Predictor> {
  const path = `${folder}/${ONNX_FILE}`;
  let metadata: Readonly<Record<string, string>>;
  try {
    metadata = await readOnnxMetadata(path);
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
  const { labels, prefix, maxLength, padId } = parseMetadata(metadata, path);
  const tokenizer = await loadTokenizer(folder);
  return {
    labels,
    maxLength,
    encode: (text) => tokenizer.encode(prefix + text, maxLength),
    isCut: (text) => tokenizer.encode(prefix + text).length > maxLength,
    open: (rows) => openOrtScorer(path, { provider, rows, padId }),
  };
}

function parseMetadata(
  metadata: Readonly<Record<string, string>>,
  path: string,
): { labels: string[]; prefix: string; maxLength: number; padId: number } {
  const missing = ["labels", "prefix", "max_length", "pad_id"].filter((key) =>
    metadata[key] === undefined
  );
  if (missing.length > 0) {
    throw new TypeError(
      `Cannot predict with ${path}: its metadata lacks ${missing.join(", ")}; ` +
        `export the run with deno task export --to onnx`,
    );
  }
  const [maxLength, padId] = [Number(metadata.max_length), Number(metadata.pad_id)];
  let labels: unknown = null;
  try {
    labels = JSON.parse(metadata.labels);
  } catch {
    // Refused below.
  }
  if (
    !Array.isArray(labels) || labels.length < 2 ||
    labels.some((label) => typeof label !== "string") ||
    !Number.isSafeInteger(maxLength) || maxLength < 1 || !Number.isSafeInteger(padId) || padId < 0
  ) {
    throw new TypeError(
      `Cannot predict with ${path}: its metadata must hold labels (a JSON list of texts), ` +
        `max_length and pad_id (whole numbers), found ${
          JSON.stringify({
            labels: metadata.labels,
            max_length: metadata.max_length,
            pad_id: metadata.pad_id,
          })
        }`,
    );
  }
  return { labels, prefix: metadata.prefix, maxLength, padId };
}
