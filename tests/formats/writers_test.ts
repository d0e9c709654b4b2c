/**
 * Every method on every family, saved and loaded again: the same bits, or a refusal that names the way
 * out. Values are random, so that no two parameters can stand for each other.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adapterHubFiles, writeAdapterHub } from "../../lib/formats/adapterhub_writer.ts";
import { openModelFolder, readJsonFile } from "../../lib/formats/huggingface.ts";
import { writeModel } from "../../lib/formats/model_writer.ts";
import { writeOwnDelta } from "../../lib/formats/own_delta.ts";
import { peftFiles, writePeft } from "../../lib/formats/peft_writer.ts";
import { readSafetensors, writeSafetensors } from "../../lib/formats/safetensors.ts";
import { moduleEnds } from "../../lib/formats/target_modules.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { loadAdapter, type LoadedAdapter } from "../../lib/train/load_adapter.ts";
import { loadWeights } from "../../lib/train/load_weights.ts";
import {
  baseFacts,
  tensorsOf,
  type Trained,
  trainedAlone,
  trainedDelta,
} from "../../lib/train/trained_delta.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config, t5GatedConfig } from "../small_models.ts";

const LABELS = ["bad", "so-so", "good"];

const families: Readonly<Record<string, { config: RawConfig; head: boolean }>> = {
  t5: { config: t5Config, head: false },
  "t5 v1.1": { config: t5GatedConfig, head: false },
  "t5 under a head": { config: t5Config, head: true },
  bert: { config: bertConfig, head: true },
  gpt2: { config: gpt2Config, head: true },
  llama: { config: llamaConfig, head: true },
};

interface Small extends Trained {
  readonly fresh: () => Trained["model"];
  readonly base: Map<string, Float32Array<ArrayBuffer>>;
}

function make(family: string, name: string, options: MethodOptions = {}): Small {
  const { config, head } = families[family];
  const fresh = () => buildModel(config, { classes: 3, head });
  const model = fresh();
  const method = methods[name];
  const parsed = method.parse(options);
  const attached = attachMethod(model, method, parsed);
  const base = randomWeights(model.scope.select(), 1);
  const values = new Map(base);
  for (const parameter of attached.delta.select()) {
    values.set(parameter.name, initialValues(parameter, 2, base));
  }
  for (const { name, shape, node } of attached.trainable) {
    const initializer = { kind: "normal", deviation: 1 } as const;
    values.set(name, initialValues({ name, shape, node, initializer }, 3, base));
  }
  return { model, method, options: parsed, attached, values, fresh, base };
}

const factsOf = (family: string, { model }: Small) =>
  baseFacts("base", families[family].config, model, LABELS);

async function withFolder(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** What trains holds the same bits. */
function assertSame(loaded: LoadedAdapter, { attached, values }: Small, about: string): void {
  const names = attached.trainable.map(({ name }) => name);
  assertEquals(loaded.attached.trainable.map(({ name }) => name), names, about);
  for (const name of names) {
    assertEquals(loaded.values.get(name), values.get(name), `${about}: ${name}`);
  }
}

const peft: [string, MethodOptions][] = [
  ["lora", { rank: 3 }],
  ["lora", { rank: 3, semantics: "peft", alpha: 7, dropout: 0.1, rslora: true }],
  ["lora", { rank: 2, dora: true, init: "gaussian", plus: 4 }],
  ["lora", { rank: 2, semantics: "opendelta" }],
  ["ia3", {}],
  ["ia3", { semantics: "peft" }],
  ["soft_prompt", { tokens: 3 }],
  ["soft_prompt", { tokens: 3, semantics: "peft" }],
  ["soft_prompt", { tokens: 3, semantics: "opendelta" }],
  ["prefix", { tokens: 2 }],
  ["prefix", { tokens: 2, semantics: "peft" }],
];

Deno.test("what PEFT can say is saved under its names and loads back to the bit", async () => {
  let saved = 0;
  for (const family of Object.keys(families)) {
    for (const [name, options] of peft) {
      const about = `${family}, ${name} ${JSON.stringify(options)}`;
      // Its T5 has key widths of their own, which PEFT's prefix cannot have.
      if (name === "prefix" && options.semantics === "peft" && family.startsWith("t5")) continue;
      const small = make(family, name, options);
      const files = () => peftFiles(trainedDelta(small), factsOf(family, small));
      const virtual = name === "prefix" || name === "soft_prompt";
      if (family === "t5 under a head" && virtual) {
        assertThrows(files, TypeError, "--to safetensors", about);
        continue;
      }
      if (family.startsWith("t5") && name === "prefix") {
        assertThrows(files, TypeError, "or train it with semantics=peft", about);
        continue;
      }
      await withFolder(async (dir) => {
        const { config, tensors } = files();
        for (const key of tensors.keys()) {
          assert(key === "prompt_embeddings" || key.startsWith("base_model."), key);
        }
        assertEquals(config.fan_in_fan_out, virtual ? undefined : family === "gpt2", about);
        await writePeft(dir, files());
        const loaded = await loadAdapter(small.fresh(), dir, small.base);
        if (name === "prefix" && options.semantics !== "peft") {
          assertPrefix(loaded, small, about);
        } else assertSame(loaded, small, about);
        saved++;
      });
    }
  }
  assertEquals(saved, 3 * 11 + 2 * 9 + 6);
});

/** Own prefixes become PEFT's one table; saved again it is the same file. */
function assertPrefix(loaded: LoadedAdapter, { values, attached }: Small, about: string): void {
  const table = loaded.values.get("prompt_embeddings")!;
  const parts = attached.delta.select();
  const [tokens, width] = parts[0].shape;
  parts.forEach(({ name }, entry) => {
    for (let token = 0; token < tokens; token++) {
      const at = (token * parts.length + entry) * width;
      const row = values.get(name)!.subarray(token * width, (token + 1) * width);
      assertEquals(table.subarray(at, at + width), row, `${about}: ${name}`);
    }
  });
}

Deno.test("PiSSA becomes a plain LoRA of twice the rank that computes the same", async () => {
  for (const family of ["t5", "bert", "gpt2"]) {
    for (const rslora of [false, true]) {
      const small = make(family, "lora", { rank: 2, init: "pissa", rslora });
      await withFolder(async (dir) => {
        const files = peftFiles(trainedDelta(small), factsOf(family, small));
        assertEquals(files.notes.length, 1);
        assertEquals([files.config.r, files.config.use_rslora], [4, false]);
        await writePeft(dir, files);
        const loaded = await loadAdapter(small.fresh(), dir, small.base);
        const merge = (
          one: Pick<Trained, "method" | "options" | "values">,
          model = small.fresh(),
        ) =>
          one.method.merge!(
            { sites: model.scope.sites, base: one.values, delta: one.values },
            one.options,
          );
        const [mine, theirs] = [merge(small), merge(loaded)];
        assertEquals([...theirs.keys()], [...mine.keys()]);
        assert(mine.size > 0);
        for (const [name, values] of mine) {
          const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const far = values.findIndex((value, i) =>
            !(Math.abs(value - theirs.get(name)![i]) <= 2e-7 * scale)
          );
          assertEquals(far, -1, `${family}: ${name}`);
        }
      });
    }
  }
});

const placements = ["ffn", "pfeiffer", "houlsby", "parallel"];

Deno.test("adapters of every placement are saved under AdapterHub's names, heads beside", async () => {
  for (const family of Object.keys(families)) {
    for (const placement of placements) {
      for (const semantics of ["own", "adapterhub", "opendelta"]) {
        if (semantics === "opendelta" && placement !== "houlsby") continue;
        const about = `${family}, ${semantics} ${placement}`;
        // 7 is no divisor of any of the widths.
        const options = { placement, semantics, bottleneck: 7 };
        const small = make(family, "adapter", options);
        const files = () => adapterHubFiles(trainedDelta(small), factsOf(family, small), "mood");
        if (family === "t5 under a head") {
          assertThrows(files, TypeError, "use --to safetensors", about);
          continue;
        }
        await withFolder(async (dir) => {
          await writeAdapterHub(dir, files());
          assertSame(await loadAdapter(small.fresh(), dir, small.base), small, about);
          const { head } = files();
          assertEquals(head === null, family.startsWith("t5"), about);
          if (head === null) return;
          const config = await readJsonFile(`${dir}/head_config.json`);
          assertEquals(config.label2id, { bad: 0, "so-so": 1, good: 2 });
          assertEquals([config.config, config.num_labels], [null, 3]);
        });
      }
    }
  }
});

Deno.test("every method is saved in this project's own terms, bit for bit", async () => {
  const all: [string, MethodOptions][] = [
    ...peft,
    ["lora", { rank: 2, init: "pissa" }],
    ["adapter", { placement: "houlsby" }],
    ["full", {}],
    ["head", {}],
    ["bitfit", {}],
  ];
  for (const family of Object.keys(families)) {
    for (const [name, options] of all) {
      if (name === "bitfit" && !["bert", "gpt2"].includes(family)) continue;
      if (name === "head" && !families[family].head) continue;
      if (name === "prefix" && options.semantics === "peft" && family.startsWith("t5")) continue;
      const small = make(family, name, options);
      await withFolder(async (dir) => {
        const digest = "ab".repeat(32);
        await writeOwnDelta(dir, trainedAlone(small), { base: { name: "base", digest } });
        const about = `${family}, ${name} ${JSON.stringify(options)}`;
        const load = (baseDigest: string) =>
          loadAdapter(small.fresh(), dir, small.base, { baseDigest });
        const loaded = await load(digest);
        assertEquals(loaded.options, small.options, about);
        assertSame(loaded, small, about);
        await assertRejects(() => load("cd".repeat(32)), RangeError, "trained from base (abab");
      });
    }
  }
});

Deno.test("a whole model is saved as Hugging Face names it, in one file or in shards", async () => {
  const inside: Record<string, string> = {
    t5: "encoder.final_layer_norm.weight",
    "t5 under a head": "transformer.encoder.final_layer_norm.weight",
    bert: "bert.pooler.dense.weight",
    gpt2: "transformer.ln_f.bias",
    llama: "model.norm.weight",
  };
  for (const [family, name] of Object.entries(inside)) {
    const small = make(family, "full");
    const tensors = tensorsOf(small.model.scope.select(), small.values);
    for (const shardBytes of [5e9, 4000]) {
      await withFolder(async (dir) => {
        await writeModel(dir, factsOf(family, small), tensors, 9, shardBytes);
        const { config, weights } = await openModelFolder(dir);
        assertEquals(weights.paths.length > 1, shardBytes === 4000);
        assert(weights.has(name), `${family}: ${weights.names()}`);
        assertEquals(weights.has("lm_head.weight"), false); // tied: once
        assertEquals(config.pad_token_id, 9);
        if (families[family].head) {
          assertEquals(config.id2label, { 0: "bad", 1: "so-so", 2: "good" });
          assertEquals(config.num_labels, 3);
        }
        const model = buildModel(config, { classes: 3, head: families[family].head });
        const loaded = await loadWeights(model, weights);
        assertEquals(loaded.size, tensors.size);
        for (const [own, { data }] of tensors) assertEquals(loaded.get(own), data, own);
      });
    }
  }
});

Deno.test("modules are named by ends that name no others", () => {
  const all = [
    "layer.0.attention.self.key",
    "layer.0.attention.output.dense",
    "layer.0.intermediate.dense",
    "layer.0.output.dense",
    "pooler.dense",
  ];
  const ends = (...places: number[]) => moduleEnds(places.map((i) => all[i]), all);
  assertEquals(ends(0), ["key"]);
  assertEquals(ends(1, 3), ["output.dense"]);
  assertEquals(ends(3), ["0.output.dense"]);
  assertEquals(ends(1), ["attention.output.dense"]);
  assertEquals(ends(1, 2, 3, 4), ["dense"]);
  assertThrows(() => moduleEnds(["dense"], ["dense", "a.dense"]), TypeError, "a.dense ends so too");
});

Deno.test("a folder that does not fit is refused by name", async () => {
  const small = make("bert", "lora", { rank: 3 });
  const files = peftFiles(trainedDelta(small), factsOf("bert", small));
  const load = (dir: string, model = small.fresh(), base = small.base) =>
    loadAdapter(model, dir, base);
  const written = async (changes: Record<string, unknown>, use: (dir: string) => Promise<void>) => {
    await withFolder(async (dir) => {
      await writePeft(dir, { ...files, config: { ...files.config, ...changes } });
      await use(dir);
    });
  };
  const refuses = (changes: Record<string, unknown>, message: string) =>
    written(changes, async (dir) => {
      await assertRejects(() => load(dir), TypeError, message);
    });
  // What newer versions add and leave at rest.
  await written(
    { corda_config: null, peft_version: "0.20.1", target_parameters: [] },
    async (dir) => assertSame(await load(dir), small, "at rest"),
  );
  await refuses({ alora_invocation_tokens: [5] }, "alora_invocation_tokens [5] is not supported");
  await refuses({ lora_bias: true }, "lora_bias true is not supported");
  await refuses({ r: 4 }, "lora_A.weight is [3,12], not [4,12]");
  await refuses({ use_dora: true }, "lora_magnitude_vector is missing");
  await refuses({ target_modules: ["query"] }, "value.lora_A.weight is left over");
  await refuses({ peft_type: "VERA" }, 'peft_type "VERA" is not supported');
  await refuses({ task_type: "TOKEN_CLS" }, "names begin with base_model.model.transformer. here");
  await written({}, async (dir) => {
    const wide = { ...bertConfig, hidden_size: 15 };
    const other = buildModel(wide, { classes: 3, head: true });
    const base = randomWeights(other.scope.select(), 1);
    await assertRejects(() => load(dir, other, base), TypeError, "is [3,12], not [3,15]");
    const two = buildModel(bertConfig, { classes: 2, head: true });
    await assertRejects(() => load(dir, two), TypeError, "classifier.bias is [3], not [2]");
    const path = `${dir}/adapter_model.safetensors`;
    const file = await readSafetensors(path);
    const kept = file.names().filter((name) => !name.includes("classifier"));
    const tensors = await Promise.all(
      kept.map(async (name) =>
        [name, { shape: file.info(name).shape, data: await file.read(name) }] as const
      ),
    );
    await writeSafetensors(path, new Map(tensors));
    const bare = new Map([...small.base].filter(([name]) => !name.startsWith("classifier")));
    await assertRejects(
      () => load(dir, small.fresh(), bare),
      RangeError,
      "neither it nor the base has classifier.weight",
    );
  });
  await withFolder(async (dir) => {
    await assertRejects(() => load(dir), Error, "it holds no delta");
  });
});

Deno.test("a flexible head is refused by name", async () => {
  const small = make("bert", "adapter", { semantics: "adapterhub" });
  await withFolder(async (dir) => {
    await writeAdapterHub(dir, adapterHubFiles(trainedDelta(small), factsOf("bert", small), "a"));
    const config = await readJsonFile(`${dir}/head_config.json`);
    await Deno.writeTextFile(
      `${dir}/head_config.json`,
      JSON.stringify({ ...config, config: { head_type: "classification", layers: 2 } }),
    );
    await assertRejects(
      () => loadAdapter(small.fresh(), dir, small.base),
      TypeError,
      "config must be null",
    );
  });
});
