/**
 * An ONNX Runtime session of an exported model: made once, asked often.
 *
 * @module
 */

import { loadOnnxRuntime } from "./onnx_runtime.ts";

/** What computes: the processor, or ONNX Runtime's own WebGPU kernels. */
export const onnxProviders = ["cpu", "webgpu"] as const;

/** One of {@linkcode onnxProviders}. */
export type OnnxProvider = typeof onnxProviders[number];

/** How a session is made. */
export interface OnnxSessionOptions {
  /** `cpu` unless given. */
  readonly provider?: OnnxProvider;
  /** Threads of the processor; as many as ONNX Runtime chooses unless given. */
  readonly threads?: number;
}

/** A tensor as ONNX Runtime takes and gives it, row-major. */
export interface OnnxTensor {
  /** Its elements: f32 or int64. */
  readonly data: Float32Array | BigInt64Array;
  /** Its dimensions. */
  readonly dims: readonly number[];
}

/** A model that ONNX Runtime has loaded. */
export interface OnnxSession {
  /** What computes. */
  readonly provider: OnnxProvider;
  /** Names of what it is given. */
  readonly inputs: readonly string[];
  /** Names of what it gives. */
  readonly outputs: readonly string[];
  /** Computes all outputs, by name. */
  run(inputs: Readonly<Record<string, OnnxTensor>>): Promise<ReadonlyMap<string, OnnxTensor>>;
  /** Frees the model. */
  close(): Promise<void>;
}

/**
 * Loads an ONNX file, with what lies beside it.
 *
 * @throws Error where ONNX Runtime cannot be had, the file is not there or does not load.
 */
export async function openOnnxSession(
  path: string,
  { provider = "cpu", threads }: OnnxSessionOptions = {},
): Promise<OnnxSession> {
  const runtime = await loadOnnxRuntime();
  let session;
  try {
    session = await runtime.InferenceSession.create(path, {
      executionProviders: [provider],
      ...threads === undefined ? {} : { intraOpNumThreads: threads },
      logSeverityLevel: 3, // errors; a warning of which node runs where is for nobody
    });
  } catch (error) {
    throw new Error(
      `Cannot load ${path} into ONNX Runtime (${provider}): ${
        error instanceof Error ? error.message : error
      }`,
      { cause: error },
    );
  }
  return {
    provider,
    inputs: session.inputNames,
    outputs: session.outputNames,
    run: async (inputs) => {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, dims }]) => [
          name,
          data instanceof Float32Array
            ? new runtime.Tensor("float32", data, dims)
            : new runtime.Tensor("int64", data, dims),
        ]),
      );
      const results = await session.run(feeds);
      return new Map(
        Object.entries(results).map(([name, { data, dims }]) => [
          name,
          { data: data as Float32Array, dims },
        ]),
      );
    },
    close: () => session.release(),
  };
}

/**
 * Logits of one batch, [texts][classes].
 *
 * @param session Of a file with `input_ids`, `attention_mask` and `logits`, as exported.
 * @param texts Token ids of each text, at least 1 each; the batch is as long as the longest.
 * @param padId Fills the others up.
 */
export async function scoreBatch(
  session: OnnxSession,
  texts: readonly (readonly number[])[],
  padId: number,
): Promise<number[][]> {
  if (texts.length === 0) return [];
  const length = Math.max(...texts.map((ids) => ids.length));
  const dims = [texts.length, length];
  const ids = new BigInt64Array(texts.length * length).fill(BigInt(padId));
  const mask = new BigInt64Array(texts.length * length);
  texts.forEach((own, row) => {
    ids.set(own.map(BigInt), row * length);
    mask.fill(1n, row * length, row * length + own.length);
  });
  const outputs = await session.run({
    input_ids: { data: ids, dims },
    attention_mask: { data: mask, dims },
  });
  const { data, dims: [, classes] } = outputs.get("logits")!;
  return texts.map((_, row) =>
    Array.from(data.subarray(row * classes, (row + 1) * classes), Number)
  );
}
