import { readJsonFile } from "../formats/huggingface.ts";
import { checkShape, object, text } from "../formats/json_shape.ts";
import { loadAdapter } from "../train/load_adapter.ts";
import { type Base, openBase } from "./base.ts";
import type { Cell } from "./cell.ts";
import { type ExportFormat, FACTS } from "./export.ts";
import { cellShape } from "./run_shapes.ts";
import { type TunedModel, tunedModel } from "./tuned.ts";

/**
 * Opens a folder that `export` wrote: with `--to huggingface`, or, together with its base, with
 * `--to peft`, `adapterhub` or `safetensors`. Needs `--allow-read` for the folder.
 *
 * @param base The base that was tuned; not needed where the folder holds a whole model.
 * @returns The model with the values that were exported, as `makeClassifier` takes it.
 * @throws Error where the folder is none of these, RangeError where the base is another one, TypeError
 *   or `UnsupportedError` naming what of the folder does not fit.
 *
 * @example
 * ```ts
 * import { exportRun, makeClassifier, openBase, openExport, openTuned, runExperiment } from "@tunegrid/tunegrid";
 *
 * const out = await Deno.makeTempDir();
 * const { runs: [run] } = await runExperiment({
 *   methods: "lora:rank=1",
 *   trainSize: 32,
 *   settings: { epochs: 1, batchSize: 16, maxLength: 24 },
 *   evaluate: ["validation"],
 *   out,
 * });
 * await exportRun(await openTuned(`${out}/${run.id}`), { to: "peft", out: `${out}/adapter` });
 * const tuned = await openExport(`${out}/adapter`, await openBase("embedded"));
 * await using classifier = makeClassifier(tuned);
 * const [{ label }] = await classifier.predict(["the film was superb"]);
 * console.log(label);
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export async function openExport(dir: string, base?: Base): Promise<TunedModel> {
  const { format, cell } = checkShape<{ format: ExportFormat; cell: Cell }>(
    await readJsonFile(`${dir}/${FACTS}`),
    object({ format: text, cell: cellShape }),
    `${dir}/${FACTS}`,
  );
  if (format === "onnx") {
    throw new Error(
      `Cannot open ${dir}: it is for ONNX Runtime; export the run with --to huggingface or ` +
        "safetensors as well",
    );
  }
  if (format === "huggingface") return await openWhole(dir, cell);
  if (base === undefined) {
    throw new Error(
      `Cannot open ${dir}: it holds what was trained alone; give its base, ${cell.base.name}, too`,
    );
  }
  if (base.digest !== cell.base.digest) {
    throw new RangeError(
      `Cannot open ${dir}: it was trained from ${cell.base.name} (${
        cell.base.digest.slice(0, 12)
      }), and this base is ${base.name} (${base.digest.slice(0, 12)})`,
    );
  }
  const classes = cell.task.labels.length;
  // Method `head` gives a text-to-text base a head; the others leave that to the task.
  const head = cell.task.head || cell.method.name === "head";
  const weights = await base.weights(classes, head);
  const { method, options, values } = await loadAdapter(base.build(classes, head), dir, weights);
  return await tunedModel(
    { ...cell, method: { name: method.name, options } },
    base,
    (trainable) => Promise.resolve(new Map(trainable.map(({ name }) => [name, values.get(name)!]))),
  );
}

/** A whole model is a base under which nothing trains any more. */
async function openWhole(dir: string, cell: Cell): Promise<TunedModel> {
  const base = await openBase(dir);
  const head = cell.task.head || cell.method.name === "head";
  return await tunedModel(
    {
      ...cell,
      base: { name: base.name, digest: base.digest },
      method: { name: "zero_shot", options: {} },
      task: { ...cell.task, head },
    },
    base,
    () => Promise.resolve(new Map()),
  );
}
