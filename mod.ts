/**
 * Trains transformer classifiers on WebGPU by every common method of fine-tuning, compares what each
 * costs and reaches, and predicts with what was trained.
 *
 * {@linkcode fineTune} trains one method and {@linkcode openClassifier} opens what it saved;
 * {@linkcode runExperiment} trains a grid and gives the comparison table. The parts are in
 * `./models`, `./methods`, `./train`, `./sweep` and `./infer`.
 *
 * Importing this module opens no device, loads no native library, reads nothing and needs no
 * permission. WebGPU needs none either. Reading a base or data needs `--allow-read` for its folder;
 * saving and running experiments need `--allow-read` and `--allow-write` for theirs. Prediction by
 * ONNX Runtime, and nothing else, needs `--allow-ffi`, and a folder for its copy of the model.
 *
 * @example Train LoRA on texts of one's own, and predict
 * ```ts
 * import { datasetFrom, fineTune, openBase } from "@tunegrid/tunegrid";
 *
 * await using classifier = await fineTune({
 *   base: await openBase("embedded"),
 *   data: datasetFrom({
 *     train: [
 *       { text: "the actors are superb", label: "good" },
 *       { text: "the plot is dreadful", label: "bad" },
 *       { text: "the songs are charming", label: "good" },
 *       { text: "the jokes are stale", label: "bad" },
 *     ],
 *     validation: [
 *       { text: "the dialogue is superb", label: "good" },
 *       { text: "the ending is dreadful", label: "bad" },
 *     ],
 *   }),
 *   method: "lora:rank=4",
 *   settings: { epochs: 4, batchSize: 4 },
 * });
 * const [{ label, probabilities }] = await classifier.predict(["the music is superb"]);
 * console.log(label, probabilities);
 * ```
 *
 * @module
 */

export * from "./infer.ts";
export * from "./sweep.ts";
export * from "./train.ts";
export { type Base, openBase } from "./lib/sweep/base.ts";
export { methods } from "./lib/peft/index.ts";
