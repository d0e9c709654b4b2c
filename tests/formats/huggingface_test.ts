import { assert, assertEquals, assertRejects } from "@std/assert";
import { sha256File } from "../../lib/formats/digest.ts";
import { openModelFolder, openWeights } from "../../lib/formats/huggingface.ts";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";
import { fixtureTest } from "../fixtures.ts";

const tensor = (...values: number[]) => ({
  shape: [values.length],
  data: new Float32Array(values),
});

/** A folder with a model in two shards, which `change` may spoil. */
async function sharded(
  change: (dir: string) => Promise<void> | void,
  use: (dir: string) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/config.json`, '{"model_type":"t5"}');
    await writeSafetensors(
      `${dir}/m-1.safetensors`,
      new Map([["a", tensor(1)], ["b", tensor(2, 3)]]),
    );
    await writeSafetensors(`${dir}/m-2.safetensors`, new Map([["c", tensor(4)]]));
    await writeIndex(dir, { a: "m-1.safetensors", b: "m-1.safetensors", c: "m-2.safetensors" });
    await change(dir);
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function writeIndex(dir: string, map: unknown) {
  await Deno.writeTextFile(
    `${dir}/model.safetensors.index.json`,
    JSON.stringify({ metadata: { total_size: 16 }, weight_map: map }),
  );
}

Deno.test("openModelFolder() reads over all shards", () =>
  sharded(() => {}, async (dir) => {
    const { config, weights, hasTokenizer, tokenizerDigest } = await openModelFolder(dir);
    assertEquals(config, { model_type: "t5" });
    assertEquals(weights.names(), ["a", "b", "c"]);
    assertEquals(await weights.read("b"), new Float32Array([2, 3]));
    assertEquals(await weights.read("c"), new Float32Array([4]));
    assertEquals([weights.has("c"), weights.has("d"), hasTokenizer], [true, false, false]);
    await assertRejects(() => tokenizerDigest(), Error, "tokenizer.json: no such file");
    const digest = await weights.digest();
    await writeSafetensors(`${dir}/m-2.safetensors`, new Map([["c", tensor(5)]]));
    assert(digest !== await (await openWeights(dir)).digest());
  }));

const spoilt: [what: string, change: (dir: string) => Promise<void>, message: string][] = [
  ["a missing config", (dir) => Deno.remove(`${dir}/config.json`), "config.json: no such file"],
  [
    "a config that is not JSON",
    (dir) => Deno.writeTextFile(`${dir}/config.json`, "{"),
    "not valid JSON",
  ],
  [
    "a config that is a list",
    (dir) => Deno.writeTextFile(`${dir}/config.json`, "[]"),
    "a JSON object",
  ],
  [
    "quantised weights",
    (dir) => Deno.writeTextFile(`${dir}/config.json`, '{"quantization_config":{"bits":4}}'),
    "quantised weights are not supported",
  ],
  [
    "no weights",
    (dir) => Deno.remove(`${dir}/model.safetensors.index.json`),
    "neither model.safetensors",
  ],
  [
    "a missing shard",
    (dir) => Deno.remove(`${dir}/m-2.safetensors`),
    "m-2.safetensors: no such file",
  ],
  [
    "a shard elsewhere",
    (dir) => writeIndex(dir, { a: "../m-1.safetensors" }),
    "same folder is needed",
  ],
  [
    "a hidden way out",
    (dir) => writeIndex(dir, { a: "..\\m.safetensors" }),
    "same folder is needed",
  ],
  [
    "an absolute shard",
    (dir) => writeIndex(dir, { a: "/m-1.safetensors" }),
    "same folder is needed",
  ],
  ["a shard that is no text", (dir) => writeIndex(dir, { a: 1 }), "same folder is needed"],
  ["an index without a map", (dir) => writeIndex(dir, undefined), "weight_map must map"],
  [
    "a tensor that no shard holds",
    (dir) =>
      writeIndex(dir, {
        a: "m-1.safetensors",
        b: "m-1.safetensors",
        c: "m-2.safetensors",
        d: "m-2.safetensors",
      }),
    'tensor "d" is placed in m-2.safetensors, which does not hold it',
  ],
  [
    "a tensor that the index does not name",
    (dir) => writeIndex(dir, { a: "m-1.safetensors", c: "m-2.safetensors" }),
    'm-1.safetensors holds tensor "b", which the index places in "no file"',
  ],
];

for (const [what, change, message] of spoilt) {
  Deno.test(`openModelFolder() refuses ${what}`, () =>
    sharded(change, async (dir) => {
      await assertRejects(() => openModelFolder(dir), Error, message);
    }));
}

fixtureTest("openModelFolder() opens real folders", async (folder) => {
  const data = `${folder}/data`;
  const t5 = await openModelFolder(`${data}/t5-tiny-imdb`);
  assertEquals([t5.config.model_type, t5.hasTokenizer], ["t5", true]);
  // As PROVENANCE.md has it.
  const digest = "84063ca5b6b12c17f08c1f2651d7f2b0d26a548e3f38702a13c6151b610a726a";
  assertEquals(await t5.weights.digest(), digest);
  const count = t5.weights.names().reduce((n, name) => n + t5.weights.info(name).elements, 0);
  assertEquals(count, 5_031_680);
  assertEquals((await t5.tokenizerDigest()).length, 64);
  const llama = await openModelFolder(`${data}/stories260K-hf`);
  assertEquals(llama.weights.info("model.embed_tokens.weight").shape, [512, 64]);
  assertEquals(await llama.weights.digest(), await sha256File(llama.weights.paths[0]));
});
