/**
 * Folders that PEFT and adapters wrote: each loads through loadAdapter(), reproduces its expected
 * logits, and is saved again with the same fields, names, shapes and bits.
 */

import { assert, assertEquals } from "@std/assert";
import { adapterHubFiles, writeAdapterHub } from "../../lib/formats/adapterhub_writer.ts";
import { openWeights, readConfig, readJsonFile } from "../../lib/formats/huggingface.ts";
import { peftFiles, writePeft } from "../../lib/formats/peft_writer.ts";
import { readSafetensors } from "../../lib/formats/safetensors.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { buildModel } from "../../lib/models/index.ts";
import { readBatch } from "../../lib/parity/batch.ts";
import { measure } from "../../lib/parity/measure.ts";
import { loadAdapter } from "../../lib/train/load_adapter.ts";
import { loadWeights } from "../../lib/train/load_weights.ts";
import { baseFacts, trainedDelta } from "../../lib/train/trained_delta.ts";
import { fixtureTest } from "../fixtures.ts";

const families = ["t5", "t5_v1_1", "bert", "gpt2", "llama"];
const peft = ["lora", "prompt_tuning", "prefix_tuning", "ia3"];
const padded = ["gpt2", "llama"].map((family) => `${family}/prompt_tuning_padded`);
const hub = ["adapter_ffn", "adapter_seq_bn"];

const tensorFile = (method: string) =>
  method.startsWith("adapter_") ? "adapter.safetensors" : "adapter_model.safetensors";

async function openFolder(golden: string, folder: string) {
  const [family, method] = folder.split("/");
  const config = await readConfig(`${golden}/${family}`);
  const source = await openWeights(`${golden}/${family}`);
  const fresh = () => buildModel(config, { classes: 2, head: false });
  const base = await loadWeights(fresh(), source);
  return { dir: `${golden}/${folder}`, family, method, config, base, fresh };
}

fixtureTest("folders of PEFT and adapters reproduce their logits", async (fixtures) => {
  const gpu = await openGpu();
  try {
    const all = families.flatMap((family) => [...peft, ...hub].map((one) => `${family}/${one}`));
    for (const folder of [...all, ...padded]) {
      const { dir, base, fresh } = await openFolder(`${fixtures}/golden`, folder);
      const model = fresh();
      const { attached, values } = await loadAdapter(model, dir, base);
      const check = await readJsonFile(`${dir}/check.json`);
      const batch = await readBatch(`${dir}/../${check.inputs ?? "inputs.json"}`, model, 2);
      const found = await measure({
        ...{ gpu, model, attached, values, batch, steps: 0, weightDecay: 0, learningRate: 0 },
        wanted: [],
      });
      const expected = await (await readSafetensors(`${dir}/expected.safetensors`)).read("logits");
      const { data } = found.outputs.get("logits")!;
      assertEquals(data.length, expected.length, dir);
      // The golden data's own bound; their noise is 4e-6.
      const far = data.findIndex((value, i) => !(Math.abs(value - expected[i]) <= 2e-5));
      assertEquals(far, -1, `${dir}: ${data[far]} is not ${expected[far]}`);
    }
  } finally {
    gpu.destroy();
  }
});

fixtureTest("what is saved of them has their fields, names, shapes and bits", async (fixtures) => {
  const out = await Deno.makeTempDir();
  try {
    for (const family of families) {
      for (const one of [...peft, ...hub]) {
        const opened = await openFolder(`${fixtures}/golden`, `${family}/${one}`);
        const { dir, config, base, fresh } = opened;
        const model = fresh();
        const loaded = await loadAdapter(model, dir, base);
        const theirs = await readJsonFile(`${dir}/adapter_config.json`);
        const facts = baseFacts("golden-base", config, model, ["0", "1"]);
        const delta = trainedDelta({ ...loaded, model });
        const folder = `${out}/${family}_${one}`;
        await Deno.mkdir(folder);
        if (hub.includes(one)) {
          await writeAdapterHub(folder, adapterHubFiles(delta, facts, "golden"));
        } else await writePeft(folder, peftFiles(delta, facts));
        assertEquals(await readJsonFile(`${folder}/adapter_config.json`), theirs, dir);

        const [mine, original] = await Promise.all(
          [folder, dir].map((at) => readSafetensors(`${at}/${tensorFile(one)}`)),
        );
        assertEquals(mine.names(), original.names(), dir);
        assert(mine.names().length > 0);
        assertEquals(mine.metadata, { format: "pt" });
        for (const name of mine.names()) {
          assertEquals(mine.info(name).shape, original.info(name).shape, `${dir}: ${name}`);
          assertEquals(await mine.readRaw(name), await original.readRaw(name), `${dir}: ${name}`);
        }

        const again = await loadAdapter(fresh(), folder, base);
        assertEquals(again.options, loaded.options, dir);
        assertEquals([...again.values.keys()].sort(), [...loaded.values.keys()].sort(), dir);
        for (const [name, values] of loaded.values) {
          assertEquals(again.values.get(name), values, `${dir}: ${name}`);
        }
      }
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
