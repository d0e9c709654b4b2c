import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ended, runFiles, startSweep } from "./sweep_process.ts";

const settings = [
  ...["--methods", "lora:rank=2;dropout=0.1", "--train-size", "192", "--epochs", "4"],
  ...["--batch", "16", "--max-length", "24", "--keep", "best", "--eval", "validation"],
];
const rates = ["--lr", "1e-4,1e-3,1e-2,3e-2"];

/** Runs a sweep, and kills it once it has printed something. */
async function killAfter(text: string, out: string, ...args: string[]): Promise<void> {
  const child = startSweep(out, ...args);
  let printed = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const before = printed.includes(text);
    printed += part;
    if (!before && printed.includes(text)) child.kill("SIGKILL");
  }
  const err = await new Response(child.stderr).text();
  assertEquals((await child.status).signal, "SIGKILL", `${printed}\n${err}`);
}

/** Files of runs that hold no time: a checkpoint does. */
async function timeless(out: string): Promise<Map<string, string>> {
  return new Map([...await runFiles(out)].filter(([path]) => !path.includes("checkpoint-")));
}

/** Learning rates of the runs that came furthest. */
function bestRates(files: ReadonlyMap<string, string>, count: number): number[] {
  const runs = [...files].filter(([path]) => path.endsWith("/run.json")).map(([path, text]) => {
    const stopped = files.get(path.replace("run.json", "stopped.json"));
    const epoch: number = stopped === undefined ? Infinity : JSON.parse(stopped).epoch;
    return { epoch, rate: JSON.parse(text).cell.settings.learningRate as number };
  });
  return runs.sort((a, b) => b.epoch - a.epoch).slice(0, count).map(({ rate }) => rate);
}

Deno.test("survivors of halving have the bits of whole runs, however often the sweep is killed", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [whole, once, killed] = ["whole", "once", "killed"].map((name) => `${folder}/${name}`);
    for (const out of [whole, once, killed]) await Deno.mkdir(out);
    const halving = [...settings, ...rates, "--halving", "2"];
    const undisturbed = await ended(startSweep(once, ...halving));
    assertEquals([undisturbed.code, undisturbed.err], [0, ""]);
    assertStringIncludes(undisturbed.out, "3 stopped before their last epoch");

    for (
      const text of [
        "[2/4] LoRA, rank 2", // two of four are paused
        "2 of 4 settings go on from epoch 1",
        "1 of 2 settings go on from epoch 2",
      ]
    ) await killAfter(text, killed, ...halving);
    const last = await ended(startSweep(killed, ...halving));
    assertEquals([last.code, last.err], [0, ""]);
    const expected = await timeless(once);
    const found = await timeless(killed);
    for (const path of found.keys()) if (/\/(claim-|\.)/.test(path)) found.delete(path);
    assertEquals([...found.keys()], [...expected.keys()]);
    for (const [path, text] of expected) assert(found.get(path) === text, `${path} differs`);

    // One survivor, and the one that came second, which goes on from its checkpoint.
    const best = bestRates(expected, 2).join(",");
    const two = await ended(startSweep(whole, ...settings, "--lr", best));
    assertEquals([two.code, two.err], [0, ""]);
    const later = await ended(startSweep(killed, ...settings, "--lr", best));
    assertEquals([later.code, later.err], [0, ""]);
    assertEquals(later.out.match(/Going on from step \d+/g), ["Going on from step 24"]);
    const all = await runFiles(whole);
    const now = await runFiles(killed);
    assertEquals([...all.keys()].filter((path) => path.endsWith("/result.json")).length, 2);
    for (const [path, text] of all) {
      assert(now.get(path) === text, `${path} differs`);
    }
    const survivors = [...expected.keys()].filter((path) => path.endsWith("/result.json"));
    assertEquals(survivors.length, 1);
    assert(all.has(survivors[0]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
