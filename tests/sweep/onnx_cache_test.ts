import { assertEquals } from "@std/assert";
import { pruneOnnxCache } from "../../lib/sweep/onnx_cache.ts";

Deno.test("exports but those used last are removed, also by two processes at once", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const now = Date.now();
    const add = async (name: string, hours: number) => {
      await Deno.mkdir(`${cache}/${name}`);
      await Deno.writeTextFile(`${cache}/${name}/model.onnx`, name);
      const time = new Date(now - 3_600_000 * hours);
      await Deno.utime(`${cache}/${name}`, time, time);
    };
    for (const hours of [2, 3, 4, 5, 6]) await add(`run-${hours}`, hours);
    await add("run-used", 0.5);
    await add(".left.tmp", 2); // Of a process that was killed,
    await add(".written.tmp", 0.1); // and of one that is at work.
    const names = async () =>
      (await Array.fromAsync(Deno.readDir(cache))).map(({ name }) => name).sort();
    await Promise.all([1, 2].map(() => pruneOnnxCache(cache, now, 3)));
    assertEquals(await names(), [".written.tmp", "run-2", "run-3", "run-used"]);
    await pruneOnnxCache(cache, now, 0); // What may be in use stays.
    assertEquals(await names(), [".written.tmp", "run-used"]);
    assertEquals(await Deno.readTextFile(`${cache}/run-used/model.onnx`), "run-used");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});
