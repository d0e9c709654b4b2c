/**
 * What the embedded corpus and base are for: methods differ on them, and pretraining pays.
 *
 * Forty-eight training runs, so a part of `./tunegrid test --all` alone.
 *
 * @module
 */

import { assert } from "@std/assert";
import { EMBEDDED_PROMPT } from "../../lib/data/corpus/embedded_vocabulary.ts";
import { embeddedBase } from "../../lib/data/embedded/base.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "../../lib/data/embedded/tokenizer.ts";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { randomWeights } from "../../lib/train/initialize.ts";

const TRAINED = "head full soft_prompt:tokens=1,10 adapter:bottleneck=1,8 lora:rank=1,8";

/** Mean last-epoch accuracy, percent, of each method over three seeds, by its label. */
async function meanAccuracies(base: string): Promise<Map<string, number>> {
  const experiment = sweep({
    base,
    data: "embedded",
    methods: TRAINED,
    seeds: [0, 1, 2],
    prefix: EMBEDDED_PROMPT,
    settings: { epochs: 5 },
  });
  const { cells, runCell, close } = await prepareSweep(resolveExperiment(experiment, methods));
  const folder = await Deno.makeTempDir();
  try {
    const accuracies = new Map<string, number[]>();
    for (const cell of cells) {
      const { last } = await runCell(cell, {
        folder,
        onStep: () => {},
        onEpoch: () => {},
        signal: new AbortController().signal,
      });
      const label = methods[cell.method.name].label(cell.method.options);
      accuracies.set(label, [...accuracies.get(label) ?? [], last.accuracy]);
    }
    return new Map(
      [...accuracies].map(([label, list]) => [
        label,
        100 * list.reduce((a, b) => a + b, 0) / list.length,
      ]),
    );
  } finally {
    close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** A folder with the embedded base's configuration and tokenizer, and untrained weights. */
async function untrainedBase(): Promise<string> {
  const folder = await Deno.makeTempDir();
  const { config } = embeddedBase();
  const parameters = buildModel(config, { classes: 2, head: false }).scope.select();
  const values = randomWeights(parameters, 1);
  await writeSafetensors(
    `${folder}/model.safetensors`,
    new Map(
      parameters.map(({ name, shape }) => [name, { shape: [...shape], data: values.get(name)! }]),
    ),
  );
  for (
    const [name, content] of [
      ["config.json", config],
      ["tokenizer.json", TOKENIZER],
      ["tokenizer_config.json", TOKENIZER_CONFIG],
    ] as const
  ) await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(content));
  return folder;
}

const all = Deno.env.get("TUNEGRID_ALL") === "1";

Deno.test({
  name: `methods differ on the embedded base, and pretraining pays${
    all ? "" : " (runs with ./tunegrid test --all)"
  }`,
  ignore: !all,
  fn: async () => {
    const pretrained = await meanAccuracies("embedded");
    const folder = await untrainedBase();
    const untrained = await meanAccuracies(folder);
    await Deno.remove(folder, { recursive: true });
    console.table([...pretrained].map(([method, accuracy]) => ({
      method,
      pretrained: accuracy.toFixed(1),
      untrained: untrained.get(method)!.toFixed(1),
    })));
    const full = pretrained.get("Full fine-tuning")!;
    const lora = pretrained.get("LoRA, rank 8")!;
    const prompt = pretrained.get("Soft prompt, 1 token")!;
    assert(full >= 90, `full fine-tuning reaches ${full} %, not 90`);
    assert(
      lora >= prompt + 5,
      `LoRA 8 (${lora} %) is not 5 points above soft prompt 1 (${prompt} %)`,
    );
    for (const [method, accuracy] of pretrained) {
      const without = untrained.get(method)!;
      const least = method === "LoRA, rank 8" ? 10 : 0;
      assert(
        accuracy > without + least,
        `${method}: ${accuracy} % pretrained, ${without} % untrained`,
      );
    }
  },
});
