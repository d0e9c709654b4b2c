/** The worked examples of CONTRIBUTING.md, taken out of the page, checked and trained with. */

import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../lib/gpu/device.ts";
import type { RawConfig } from "../lib/models/config.ts";
import { buildModel } from "../lib/models/index.ts";
import type { Model } from "../lib/models/model.ts";
import { measure } from "../lib/parity/measure.ts";
import { methods } from "../lib/peft/index.ts";
import { type Attached, attachMethod, type Method } from "../lib/peft/method.ts";
import { initialValues, randomWeights } from "../lib/train/initialize.ts";
import { gpuTest } from "./check_op.ts";
import { llamaConfig, smallBatch } from "./small_models.ts";

/** Puts the page's code of a file beside the project, its imports pointing into it. */
async function example(path: string, dir: string): Promise<string> {
  const page = await Deno.readTextFile("CONTRIBUTING.md");
  const [, code] = page.split("```ts " + path + "\n");
  assert(code !== undefined, `CONTRIBUTING.md has no ${path}`);
  const own = code.split("```")[0].replaceAll(
    /from "(\..+)"/g,
    (_, target) => `from "${new URL(target, new URL(`../${path}`, import.meta.url))}"`,
  );
  const file = `${dir}/${path.split("/").pop()}`;
  await Deno.writeTextFile(file, own);
  const check = await new Deno.Command(Deno.execPath(), {
    args: ["check", "-q", "--config", "deno.json", file],
    stderr: "piped",
  }).output();
  assert(check.success, new TextDecoder().decode(check.stderr));
  return `file://${file}`;
}

/** Trains twelve steps and returns the losses. */
async function losses(gpu: Gpu, model: Model, attached: Attached): Promise<readonly number[]> {
  const base = randomWeights(model.scope.select(), 7);
  const delta = attached.delta.select().map((parameter) =>
    [parameter.name, initialValues(parameter, 7, base)] as const
  );
  const { losses } = await measure({
    gpu,
    model,
    attached,
    values: new Map([...base, ...delta]),
    batch: smallBatch(model),
    steps: 12,
    learningRate: 1e-2,
    weightDecay: 0,
    wanted: [],
  });
  return losses;
}

gpuTest("CONTRIBUTING.md's method and family work as they stand there", async (gpu) => {
  const dir = await Deno.makeTempDir();
  try {
    const { blockGain }: { blockGain: Method } = await import(
      await example("lib/peft/block_gain.ts", dir)
    );
    const model = buildModel(llamaConfig, { classes: 3, head: false });
    const attached = attachMethod(model, blockGain, blockGain.parse({}));
    const { hidden_size: width, num_hidden_layers: layers } = llamaConfig;
    assertEquals(attached.counts.trainable, layers * width + 3 * width);
    const tuned = await losses(gpu, model, attached);
    assert(tuned[11] < tuned[0], `${tuned}`);

    const { bag }: { bag: (config: RawConfig, classes: number) => Model } = await import(
      await example("lib/models/bag.ts", dir)
    );
    for (const [method, trainable] of [["full", 121 * 8 + 27], ["soft_prompt", 10 * 8 + 27]]) {
      const words = bag({ vocab_size: 121, hidden_size: 8 }, 3);
      const under = attachMethod(
        words,
        methods[method],
        methods[method].parse({}),
      );
      assertEquals(under.counts.trainable, trainable);
      const trained = await losses(gpu, words, under);
      assert(trained[11] < trained[0], `${method}: ${trained}`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
