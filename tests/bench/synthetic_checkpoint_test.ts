import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { writeCheckpoint } from "../../bench/synthetic_checkpoint.ts";
import { openModelFolder } from "../../lib/formats/huggingface.ts";
import { buildModel } from "../../lib/models/index.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { isPartSource, loadWeights, streamWeights } from "../../lib/train/load_weights.ts";
import { bertConfig, llamaConfig } from "../small_models.ts";

const config = { ...llamaConfig, vocab_size: 300, tie_word_embeddings: true };
const llama = () => buildModel(config, { classes: 2, head: false });

async function inFolder(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("a synthetic checkpoint is sharded, drawn by its seed and opens as a base", async () => {
  await inFolder(async (dir) => {
    const { parameters, bytes, shards } = await writeCheckpoint(dir, config, {
      seed: 0,
      shardBytes: 8000,
    });
    const wanted = llama().scope.select((name) => name !== "score.weight");
    assertEquals(parameters, wanted.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b), 0));
    assertEquals(bytes, 2 * parameters);
    assert(shards.length > 2);
    assertEquals(shards[0], `model-00001-of-0000${shards.length}.safetensors`);
    const { weights } = await openModelFolder(dir);
    assertEquals(weights.paths.length, shards.length);
    assertEquals(weights.names(), wanted.map(({ name }) => name).sort());
    assertEquals(weights.info("model.norm.weight").dtype, "BF16");
    assertEquals(await weights.read("model.norm.weight"), new Float32Array(24).fill(1));
    const table = await weights.read("model.embed_tokens.weight");
    const mean = table.reduce((a, b) => a + b) / table.length;
    const deviation = Math.sqrt(table.reduce((a, b) => a + (b - mean) ** 2) / table.length);
    assert(Math.abs(mean) < 0.01 && Math.abs(deviation - 0.2) < 0.01, `${mean} ± ${deviation}`);

    const base = await openBase(dir);
    assertEquals(base.tokenizer.encode("a b"), [256, 97, 32, 98]);
    assertEquals(base.tokenizer.decode(base.tokenizer.encode("né 1")), "né 1");

    await inFolder(async (other) => {
      await writeCheckpoint(other, config, { seed: 0, shardBytes: 8000 });
      assertEquals((await openBase(other)).digest, base.digest);
      await writeCheckpoint(other, config, { seed: 1, shardBytes: 8000 });
      assert((await openBase(other)).digest !== base.digest);
    });
  });
});

Deno.test("a checkpoint that the disk has no room for is refused before anything is written", async () => {
  await inFolder(async (dir) => {
    const huge = { ...config, vocab_size: 2 ** 24, hidden_size: 2 ** 20 };
    await assertRejects(
      () => writeCheckpoint(dir, huge, { seed: 0, shardBytes: 8000 }),
      RangeError,
      `bytes to ${dir}: its disk has`,
    );
    assertEquals([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("weights streamed from shards are those that are loaded at once", async () => {
  await inFolder(async (dir) => {
    await writeCheckpoint(dir, config, { seed: 0, shardBytes: 8000 });
    const { weights } = await openModelFolder(dir);
    assert(isPartSource(weights));
    const loaded = await loadWeights(llama(), weights);
    const streamed = streamWeights(llama(), weights);
    assertEquals([...streamed.keys()], [...loaded.keys()]);
    assertEquals(streamed.size, loaded.size);
    for (const [name, values] of loaded) {
      assertEquals(streamed.get(name), values, name);
      const { length, part } = streamed.reader(name)!;
      assertEquals(length, values.length);
      assertEquals(part(3, 11), values.slice(3, 11), name);
    }
    // Rows of a bf16 table are converted exactly: all that is below the upper half is zero.
    const table = streamed.get("model.embed_tokens.weight")!;
    assert(new Uint32Array(table.buffer).every((word) => (word & 0xffff) === 0));
    assertThrows(
      () => streamWeights(buildModel(bertConfig, { classes: 2, head: false }), weights),
      TypeError,
      "is missing",
    );
  });
});
