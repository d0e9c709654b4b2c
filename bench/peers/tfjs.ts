/**
 * TensorFlow.js on its WebGPU backend.
 *
 * @module
 */

import { readSafetensors } from "../../lib/formats/safetensors.ts";
import type { Engine, Job, Task } from "./protocol.ts";

/** The version compared with; named at run time alone, so that nobody fetches it unasked. */
const VERSION = "4.22.0";

interface Tensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** What is used of it. */
interface Core {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tensor2d(values: Float32Array, shape: readonly number[]): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
  backend(): {
    readonly device: GPUDevice;
    /** Launches that are recorded and not submitted; null where there are none. */
    readonly commandEncoder: GPUCommandEncoder | null;
    endComputePassEncoder(): void;
    submitQueue(): void;
  };
}

/** Loads it and takes the adapter. */
export async function openTfjs(): Promise<Engine> {
  const tf: Core = await import(`npm:@tensorflow/tfjs-core@${VERSION}`);
  await import(`npm:@tensorflow/tfjs-backend-webgpu@${VERSION}`);
  if (!await tf.setBackend("webgpu")) throw new Error("its WebGPU backend does not start");
  await tf.ready();
  const adapter = await navigator.gpu.requestAdapter();

  async function matmul({ size, weights }: Job): Promise<Task> {
    const file = await readSafetensors(weights);
    const shape = [size, size];
    const a = tf.tensor2d(await file.read("a"), shape);
    const b = tf.tensor2d(await file.read("b"), shape);
    const c = tf.matMul(a, b);
    const values = [...(await c.data()).subarray(0, size)];
    c.dispose();
    return {
      values,
      run: async (count) => {
        for (let i = 0; i < count; i++) tf.matMul(a, b).dispose();
        const backend = tf.backend();
        backend.endComputePassEncoder();
        if (backend.commandEncoder !== null) backend.submitQueue();
        await backend.device.queue.onSubmittedWorkDone();
      },
      release: () => [a, b].forEach((tensor) => tensor.dispose()),
    };
  }

  return {
    hello: {
      engine: "@tensorflow/tfjs, WebGPU",
      version: VERSION,
      device: adapter?.info.description ?? "unknown",
      software: adapter?.info.isFallbackAdapter ?? false,
    },
    prepare: async (job) => job.kind === "matmul" ? await matmul(job) : null,
  };
}
