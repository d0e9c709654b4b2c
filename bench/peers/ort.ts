/**
 * ONNX Runtime, on the processor or by its WebGPU kernels.
 *
 * @module
 */

import { loadOnnxRuntime, ONNX_RUNTIME_PACKAGE } from "../../lib/infer/onnx_runtime.ts";
import type { OnnxProvider } from "../../lib/infer/session.ts";
import type { Engine, Job, Task } from "./protocol.ts";

/** Loads it for one provider. */
export async function openOrt(provider: OnnxProvider): Promise<Engine> {
  const ort = await loadOnnxRuntime();

  async function prepare({ kind, model, weights }: Job): Promise<Task | null> {
    if (kind === "step") return null;
    const path = model?.onnx ?? weights.replace("weights.safetensors", "model.onnx");
    const session = await ort.InferenceSession.create(path, {
      executionProviders: [provider],
      // A product of two constants would be computed once, when the file is loaded.
      graphOptimizationLevel: kind === "matmul" ? "disabled" : "all",
      logSeverityLevel: 3,
    });
    const feeds: Record<string, InstanceType<typeof ort.Tensor>> = {};
    if (model !== null) {
      const { batch, length, ids } = model;
      const flat = BigInt64Array.from(ids.flat(), BigInt);
      const all: typeof feeds = {
        ids: new ort.Tensor("int64", flat, [batch, length]),
        mask: new ort.Tensor("float32", new Float32Array(batch * length).fill(1), [batch, length]),
      };
      for (const name of session.inputNames) feeds[name] = all[name];
    }
    const first = await session.run(feeds);
    return {
      values: [...first[session.outputNames[0]].data as Float32Array],
      run: async (count) => {
        for (let i = 0; i < count; i++) await session.run(feeds);
      },
      release: () => session.release(),
    };
  }

  return {
    hello: {
      engine: `onnxruntime-node, ${provider === "cpu" ? "CPU" : "WebGPU"}`,
      version: ONNX_RUNTIME_PACKAGE.split("@").at(-1)!,
      device: provider === "cpu"
        ? `${navigator.hardwareConcurrency} cores`
        : "the adapter that it finds",
      software: provider === "cpu",
    },
    prepare,
  };
}
