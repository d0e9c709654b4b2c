import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KernelCache, type KernelCacheKey } from "../../lib/train/kernel_cache.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { openTuner } from "../../lib/train/open_tuner.ts";

const key: KernelCacheKey = {
  ...{ adapter: "a GPU", deno: "2.9.6", probe: "0123456789abcdef", limits: "fedcba9876543210" },
  ...{ package: "0.2.0", source: null },
};

async function withCache(body: (cache: KernelCache, folder: string) => Promise<void>) {
  const folder = `${await Deno.makeTempDir()}/kernels`;
  try {
    await body(new KernelCache(key, folder), folder);
  } finally {
    await Deno.remove(folder.slice(0, -"/kernels".length), { recursive: true });
  }
}

async function readNoting(cache: KernelCache): Promise<[unknown, string[]]> {
  const notes: string[] = [];
  return [await cache.read((note) => notes.push(note)), notes];
}

Deno.test("KernelCache keeps choices for their key alone", () =>
  withCache(async (cache, folder) => {
    assertEquals(await readNoting(cache), [{}, []]);
    await cache.add({ "matmul m64": "tiled" });
    await cache.add({ "matmul m64": "direct", "matmul m128": "direct" });
    const kept = { "matmul m64": "tiled", "matmul m128": "direct" };
    assertEquals(await readNoting(new KernelCache(key, folder)), [kept, []]);
    for (const name of ["adapter", "deno", "probe", "limits", "package", "source"] as const) {
      const other = new KernelCache({ ...key, [name]: "another" }, folder);
      assertEquals(await readNoting(other), [{}, []], name);
      // Nor where its file is put in the place of the other's.
      await Deno.copyFile(cache.path, other.path);
      const [found, [note]] = await readNoting(other);
      assertEquals(found, {}, name);
      assertStringIncludes(note, "it is of another adapter or version; a rule chooses");
    }
  }));

Deno.test("KernelCache says what is damaged, and writes it anew", () =>
  withCache(async (cache) => {
    await cache.add({ "matmul m64": "tiled" });
    const whole = await Deno.readTextFile(cache.path);
    for (
      const text of [
        "",
        "[]",
        '{"choices": 3}',
        whole.slice(0, -20),
        whole.replace("tiled", "direct"),
      ]
    ) {
      await Deno.writeTextFile(cache.path, text);
      const [found, notes] = await readNoting(cache);
      assertEquals([found, notes.length], [{}, 1], text);
      assertStringIncludes(notes[0], `Not using the kernels chosen in ${cache.path}: `);
    }
    await cache.add({ "matmul m128": "direct" });
    assertEquals(await readNoting(cache), [{ "matmul m128": "direct" }, []]);
  }));

Deno.test("KernelCache is whole while several write it", () =>
  withCache(async (cache, folder) => {
    const size = (i: number) => ({ [`matmul m${i}`]: "tiled" });
    const writes = Array.from({ length: 12 }, (_, i) => new KernelCache(key, folder).add(size(i)));
    const reads = Array.from({ length: 12 }, () => readNoting(new KernelCache(key, folder)));
    for (const [, notes] of await Promise.all(reads)) assertEquals(notes, []);
    await Promise.all(writes);
    await cache.add(size(20));
    const [found, notes] = await readNoting(cache);
    assertEquals([(found as Record<string, string>)["matmul m20"], notes], ["tiled", []]);
  }));

Deno.test("KernelCache.add() says why it cannot write", () =>
  withCache(async (_, folder) => {
    await Deno.writeTextFile(folder, ""); // A file in the folder's place.
    await assertRejects(() => new KernelCache(key, folder).add({}), Error);
  }));

Deno.test("openTuner() takes what is kept, whoever measured it, unless told not to", () =>
  withCache(async (cache) => {
    await cache.add({ "matmul m64": "tiled" });
    const gpu = await openGpu();
    try {
      assertEquals(await openTuner(gpu, cache, "never"), null);
      assertEquals([...gpu.kernelChoices], []);
      for (const tune of ["auto", 3] as const) {
        gpu.kernelChoices.clear();
        assertEquals(await (await openTuner(gpu, cache, tune))!.tune(), false);
        assertEquals([...gpu.kernelChoices], [["matmul m64", "tiled"]]);
      }
    } finally {
      gpu.destroy();
    }
  }));

Deno.test({
  name: "openTuner() without permission for the cache measures where asked to alone",
  permissions: { write: false, read: true, env: true },
  fn: async () => {
    const gpu = await openGpu();
    try {
      const cache = new KernelCache(key, ".cache/kernels");
      assertEquals(await openTuner(gpu, cache, "auto"), null);
      assertEquals(await (await openTuner(gpu, cache, 3))!.tune(), false);
    } finally {
      gpu.destroy();
    }
  },
});
