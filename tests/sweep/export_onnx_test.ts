/** A tuned model as an ONNX file: the same scores, and all else that a prediction takes. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { openOnnxSession, scoreBatch } from "../../lib/infer/session.ts";
import { readOnnxMetadata } from "../../lib/onnx/model_file.ts";
import { methods } from "../../lib/peft/index.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { exportOnnx, type ExportOnnxOptions } from "../../lib/sweep/export_onnx.ts";
import { expandGrid } from "../../lib/sweep/grid.ts";
import { tunedModel } from "../../lib/sweep/tuned.ts";
import { elements } from "../../lib/graph/shape.ts";
import { expectClose, randomNormal } from "../check_op.ts";
import { context, withFolder } from "./fake_sweep.ts";

const base = await openBase("embedded");
const texts = ["a fine film", "dull", "it never finds its feet and then it ends"];

/** The embedded base under a method, as if trained a little. */
async function tuned(text: string) {
  const experiment = sweep({ methods: text, settings: { maxLength: 24 } });
  const [cell] = expandGrid(resolveExperiment(experiment, methods), {
    ...context,
    base: { name: base.name, digest: base.digest },
  });
  return await tunedModel(
    cell,
    base,
    (trainable) =>
      Promise.resolve(
        new Map(trainable.map(({ name, shape }) => [
          name,
          Float32Array.from(randomNormal(elements(shape), 1), (x) => x / 10),
        ])),
      ),
  );
}

/** Exports, and scores the texts with what was written. */
async function score(text: string, options: ExportOnnxOptions): Promise<number[]> {
  const model = await tuned(text);
  let scores: number[] = [];
  await withFolder(async (folder) => {
    await exportOnnx(model, folder, options);
    const session = await openOnnxSession(`${folder}/model.onnx`);
    scores = (await scoreBatch(session, texts.map(model.encode), model.tokenizer.padId)).flat();
    await session.close();
  });
  return scores;
}

Deno.test("exportOnnx() writes the same model with its delta apart, merged, or in two files", async () => {
  const apart = await score("lora:rank=2", {});
  assertEquals(apart.length, 2 * texts.length);
  assertNotEquals(apart, await score("zero_shot", {}));
  expectClose("merged", await score("lora:rank=2", { merged: true }), apart, 1e-4, 1e-4);
  expectClose("in two files", await score("lora:rank=2", { externalAbove: 0 }), apart, 1e-6, 0);
});

Deno.test("an exported file tells what its inputs and outputs mean", async () => {
  const model = await tuned("lora:rank=2");
  await withFolder(async (folder) => {
    const { files, opset, inputs, outputs } = await exportOnnx(model, folder);
    assertEquals([files, opset], [["model.onnx"], 17]);
    assertEquals(inputs.map(({ name }) => name), ["input_ids", "attention_mask"]);
    assertEquals(outputs.map(({ name }) => name), ["logits"]);
    const { method, tunegrid_version, task, ...rest } = await readOnnxMetadata(
      `${folder}/model.onnx`,
    );
    assert(/^\d+\.\d+\.\d+/.test(tunegrid_version));
    assertEquals(JSON.parse(method), { name: "lora", options: model.options });
    assertEquals(rest, {
      labels: '["0","1"]',
      ...task === "words" ? { label_words: '["negative","positive"]' } : {},
      prefix: "",
      max_length: "24",
      pad_id: `${base.tokenizer.padId}`,
      base: "embedded",
      merged: "false",
      run: cellId(model.cell),
    });
    const merged = await tuned("soft_prompt:tokens=2");
    await assertRejects(
      () => exportOnnx(merged, folder, { merged: true }),
      TypeError,
      "Cannot merge soft_prompt",
    );
  });
});
