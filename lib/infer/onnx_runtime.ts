/**
 * ONNX Runtime, loaded when it is first asked for: it is the only part that needs FFI.
 *
 * @module
 */

/** A tensor of ONNX Runtime. */
export interface RuntimeTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** A loaded model of ONNX Runtime. */
export interface RuntimeSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Computes all outputs, by name. */
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Record<string, RuntimeTensor>>;
  /** Frees the model. */
  release(): Promise<void>;
}

/** What is used of the npm package `onnxruntime-node`; its own types would bring all of it along. */
export interface OnnxRuntime {
  readonly InferenceSession: {
    /** Loads a file. */
    create(path: string, options: Readonly<Record<string, unknown>>): Promise<RuntimeSession>;
  };
  readonly Tensor: new (
    type: string,
    data: Float32Array | BigInt64Array,
    dims: readonly number[],
  ) => RuntimeTensor;
}

/**
 * The package, with its version. Deno fetches what an `import`, deno.json or the lock file names
 * before anything runs; a name known only at run time, and a lock file of its own (deno.onnx.lock),
 * keep these 113 MB away from whoever never asks.
 */
export const ONNX_RUNTIME_PACKAGE: string = "npm:onnxruntime-node@1.30.0";

/** Where it lies under `--node-modules-dir`: what FFI has to be granted to. */
export const ONNX_RUNTIME_FOLDER: string = `node_modules/.deno/${
  ONNX_RUNTIME_PACKAGE.replace("npm:", "")
}`;

const NOT_GRANTED =
  "this process was not granted FFI to its library; start it with ./tunegrid, which grants it where " +
  `it is asked for, or add --node-modules-dir=auto --allow-ffi=${ONNX_RUNTIME_FOLDER}`;

/**
 * Refuses a task without FFI to {@linkcode ONNX_RUNTIME_FOLDER}, before the package is fetched.
 *
 * @throws Error with what to do.
 */
export function checkOnnxRuntimeGranted(): void {
  const { state } = Deno.permissions.querySync({ name: "ffi", path: ONNX_RUNTIME_FOLDER });
  if (state !== "granted") {
    throw new Error(`Cannot load ONNX Runtime (${ONNX_RUNTIME_PACKAGE}): ${NOT_GRANTED}`);
  }
}

let loading: Promise<OnnxRuntime> | null = null;

/**
 * Loads ONNX Runtime, once.
 *
 * @throws Error where the process may not use its library, or the package cannot be had.
 */
export async function loadOnnxRuntime(): Promise<OnnxRuntime> {
  loading ??= import(ONNX_RUNTIME_PACKAGE);
  try {
    return await loading;
  } catch (error) {
    const reason = error instanceof Deno.errors.NotCapable
      ? NOT_GRANTED
      : `${
        error instanceof Error ? error.message.split("\n")[0] : error
      }; it is fetched from npm on first use`;
    throw new Error(`Cannot load ONNX Runtime (${ONNX_RUNTIME_PACKAGE}): ${reason}`, {
      cause: error,
    });
  }
}
