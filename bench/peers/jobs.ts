/**
 * The jobs, and the files that all engines read them from.
 *
 * @module
 */

import { readSafetensors, type Tensor, writeSafetensors } from "../../lib/formats/safetensors.ts";
import { lower } from "../../lib/graph/lower.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { buildModel } from "../../lib/models/index.ts";
import { writeOnnx } from "../../lib/onnx/model_file.ts";
import { slice } from "../../lib/ops/concat.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { makeTask } from "../../lib/train/task.ts";
import {
  ADAMW,
  batchOf,
  LEARNING_RATE,
  modelOf,
  startOf,
  targetsOf,
  type Workload,
} from "../workload.ts";
import { random } from "../random.ts";
import type { Job } from "./protocol.ts";

/** Where the files are. */
export const FOLDER = ".cache/bench/peers";

/** Writes the matrices of a product of squares. */
export async function matmulJob(size: number): Promise<Job> {
  const name = `matmul ${size}³ f32`;
  const folder = `${FOLDER}/matmul-${size}`;
  await Deno.mkdir(folder, { recursive: true });
  const shape = [size, size];
  const weights = `${folder}/weights.safetensors`;
  const [a, b] = [1, 2].map((seed) => random(size * size, seed));
  await writeSafetensors(weights, new Map([["a", { shape, data: a }], ["b", { shape, data: b }]]));
  // As a file, the first row is all that leaves the device.
  const product = einsum(
    "mk,kn->mn",
    variable("a", shape, "weight"),
    variable("b", shape, "weight"),
  );
  const graph = lower(new Map([["row", slice(product, 0, 0, 1)]]));
  const values = new Map([["a", a], ["b", b]]);
  await writeOnnx(folder, graph, { values, name: "matmul", version: "1", metadata: {} });
  return { kind: "matmul", name, size, weights, model: null };
}

/** The first row of a job's product, in f64. */
export async function productRow({ size, weights }: Job): Promise<Float64Array> {
  const file = await readSafetensors(weights);
  const [a, b] = [await file.read("a"), await file.read("b")];
  const row = new Float64Array(size);
  for (let k = 0; k < size; k++) for (let n = 0; n < size; n++) row[n] += a[k] * b[k * size + n];
  return row;
}

/** Writes a model's parameters, seeded, and for inference its graph as ONNX. */
export async function modelJob(workload: Workload, kind: "step" | "inference"): Promise<Job> {
  const { config, method, options, precision, batch, length } = workload;
  const folder = `${FOLDER}/${workload.name.replaceAll(" ", "-")}-${kind}`;
  await Deno.mkdir(folder, { recursive: true });
  const parameters: ReadonlyMap<string, Tensor> = startOf(modelOf(workload));
  const weights = `${folder}/weights.safetensors`;
  await writeSafetensors(weights, parameters);
  const examples = batchOf(workload);
  const textToText = config.model_type === "t5";
  if (kind === "inference") {
    const scores = makeTask(buildModel(config, { classes: 2, head: false }), 0, null).scores();
    const values = new Map([...parameters].map(([name, { data }]) => [
      name,
      data as Float32Array<ArrayBuffer>,
    ]));
    await writeOnnx(folder, lower(new Map([["logits", scores]])), {
      ...{ values, name: "model", version: "1", metadata: {} },
    });
  }
  return {
    kind,
    name: `${workload.name} ${
      kind === "step" ? "step" : "forward"
    } ${batch}×${length} ${precision}`,
    size: 0,
    weights,
    model: {
      ...{ config: { ...config }, method, options, precision, batch, length },
      ids: examples.map(({ ids }) => ids),
      labels: textToText ? targetsOf(workload) : examples.map(({ label }) => label),
      optimizer: { learningRate: LEARNING_RATE, ...ADAMW },
      onnx: kind === "inference" ? `${folder}/model.onnx` : null,
    },
  };
}
