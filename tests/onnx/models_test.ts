/**
 * Every family with every method: ONNX Runtime's logits against the kernels', at two batch sizes and
 * two lengths of one exported graph, with padding in the batch.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { scoreBatch } from "../../lib/infer/session.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import type { Model } from "../../lib/models/model.ts";
import { methods } from "../../lib/peft/index.ts";
import { mergeMethod } from "../../lib/peft/merge.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { lowerScores } from "../../lib/sweep/export_onnx.ts";
import { initialValues, randomWeights, type WeightValues } from "../../lib/train/initialize.ts";
import { makeTask } from "../../lib/train/task.ts";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { openGraph } from "../onnx_run.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config, t5GatedConfig } from "../small_models.ts";

const PAD = 0;
const labelWords = { words: ["bad", "so", "good"], ids: [[11, 3], [100], [7, 5, 9]] };

/** Texts of one batch each: another size, another length, not all as long. */
const batches = [
  [[5, 17, 118, 3, 99, 42, 1], [64, 8, 1], [7, 7, 30, 120, 1]],
  [[4, 9, 1], [2, 77, 31, 12, 90, 6, 54, 110, 23, 8, 3, 1]],
];

/** Options of each method; every path that its forward pass can take. */
const variants: Readonly<Record<string, readonly MethodOptions[]>> = {
  zero_shot: [{}],
  head: [{}],
  full: [{}],
  bitfit: [{}],
  soft_prompt: [{ tokens: 4 }, { semantics: "peft", tokens: 3 }],
  prefix: [{ tokens: 3 }, { semantics: "peft", tokens: 2 }],
  adapter: [
    { bottleneck: 5 },
    { bottleneck: 3, placement: "pfeiffer", activation: "gelu" },
    { bottleneck: 3, placement: "houlsby", activation: "swish" },
    { bottleneck: 3, placement: "parallel", activation: "leakyrelu" },
    { semantics: "adapterhub", reduction: 5 },
    { semantics: "opendelta", bottleneck: 4 },
  ],
  lora: [
    { rank: 3 },
    { rank: 3, rslora: true, init: "gaussian" },
    { rank: 2, dora: true },
    { rank: 2, init: "pissa" },
    { semantics: "opendelta", rank: 2 },
  ],
  ia3: [{}, { semantics: "peft" }],
};

interface Family {
  readonly name: string;
  readonly config: RawConfig;
  /** Whether a head classifies where words could. */
  readonly head: boolean;
  /** What it does not have, as {@linkcode attachMethod} or the forward pass says. */
  readonly lacks: (method: string, options: MethodOptions) => boolean;
}

const noBias = (method: string) => method === "bitfit";
// With a decoder, PEFT gives a prefix the width of the model, which these attentions do not have.
const t5Lacks: Family["lacks"] = (method, { semantics }) =>
  noBias(method) || (method === "prefix" && semantics === "peft");

const families: readonly Family[] = [
  { name: "BERT", config: bertConfig, head: false, lacks: () => false },
  { name: "GPT-2", config: gpt2Config, head: false, lacks: () => false },
  { name: "Llama", config: llamaConfig, head: false, lacks: noBias },
  { name: "T5", config: t5Config, head: false, lacks: t5Lacks },
  { name: "T5 with a head", config: t5Config, head: true, lacks: noBias },
  { name: "T5 v1.1", config: t5GatedConfig, head: false, lacks: t5Lacks },
  { name: "T5 v1.1 with a head", config: t5GatedConfig, head: true, lacks: noBias },
];

/** Scores of the batches by kernels, each padded two tokens further than it needs. */
async function byKernels(gpu: Gpu, model: Model, values: WeightValues): Promise<Float32Array[]> {
  const task = makeTask(model, PAD, labelWords);
  const scores = task.scores();
  const session = new Session(gpu);
  try {
    const rows = batches.map((texts) => ({
      examples: texts.map((ids) => ({ ids, label: 0 })),
      indices: texts.map((_, i) => i),
      size: texts.length,
      length: Math.max(...texts.map((ids) => ids.length)) + 2,
    }));
    const programs = rows.map(({ size, length }) =>
      session.program([scores], { B: size, T: length }, [scores])
    );
    await session.build();
    session.poison();
    for (const [name, data] of values) session.upload(name, data);
    const results: Float32Array[] = [];
    for (const [i, program] of programs.entries()) {
      session.write(program, task.scoringInputs(rows[i]));
      session.run([program]);
      results.push(...await session.read(program, [scores]));
    }
    return results;
  } finally {
    session.destroy();
  }
}

/** The same by ONNX Runtime, all batches by one session. */
async function byRuntime(model: Model, values: WeightValues): Promise<Float32Array[]> {
  const graph = lowerScores(model, model.textToText === undefined ? null : labelWords);
  return await openGraph(graph, values, async (session) => {
    assertEquals(session.inputs, ["input_ids", "attention_mask"]);
    const results: Float32Array[] = [];
    for (const texts of batches) {
      results.push(Float32Array.from((await scoreBatch(session, texts, PAD)).flat()));
    }
    return results;
  });
}

/** Fails where a logit differs by more than 1e-4 of the largest. */
function compare(where: string, found: readonly Float32Array[], expected: readonly Float32Array[]) {
  expected.forEach((logits, i) => {
    const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert(largest > 0.01, `${where}: logits near zero tell nothing`);
    expectClose(`${where}, batch ${i}`, found[i], logits, 1e-4 * largest, 0);
  });
}

Deno.test("every method stands in this test", () => {
  assertEquals(Object.keys(variants).sort(), Object.keys(methods).sort());
});

for (const { name: family, config, head, lacks } of families) {
  gpuTest(`${family}: ONNX Runtime and the kernels give the same logits`, async (gpu) => {
    for (const [name, list] of Object.entries(variants)) {
      const method = methods[name];
      for (const chosen of list) {
        const where = `${family}, ${name} ${JSON.stringify(chosen)}`;
        const options = method.parse(chosen);
        const build = () => buildModel(config, { classes: 3, head: head || method.needsHead });
        const model = build();
        if (lacks(name, chosen)) {
          assertThrows(
            () => {
              attachMethod(model, method, options);
              lowerScores(model, labelWords);
            },
            Error,
            "Cannot ",
            where,
          );
          continue;
        }
        const { delta } = attachMethod(model, method, options);
        const values = new Map(randomWeights(model.scope.select(), 11));
        for (const [i, parameter] of delta.select().entries()) {
          const start = initialValues(parameter, 11, values);
          // Trained a little: none of them at its start.
          const moved = parameter.name.endsWith(".initial")
            ? start
            : randomNormal(start.length, i).map((x, at) => start[at] + x / 10);
          values.set(parameter.name, Float32Array.from(moved));
        }
        const expected = await byKernels(gpu, model, values);
        compare(where, await byRuntime(model, values), expected);
        if (method.merge === undefined) continue;
        const bare = build();
        const merged = mergeMethod(bare, method, options, values);
        compare(`${where}, merged`, await byRuntime(bare, merged), expected);
      }
    }
  });
}
