import { assertEquals, assertRejects } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { experimentFromArgs } from "../../lib/sweep/flags.ts";
import { parseMethods } from "../../lib/sweep/method_spec.ts";
import { findPublished } from "../../lib/sweep/published.ts";
import { hubBase, hubConfig, parseHubBase, SST2 } from "../../lib/sweep/references.ts";
import { openData } from "../../lib/sweep/sweep_data.ts";

const base = hubBase({ id: "google-t5/t5-small", revision: "abc" });

Deno.test("a base of the Hub is told from a folder", () => {
  assertEquals(parseHubBase(base), { id: "google-t5/t5-small", revision: "abc" });
  for (const folder of ["embedded", "models/t5", "hf:t5", "/hf:a/b@c"]) {
    assertEquals(parseHubBase(folder), null);
  }
  assertEquals(hubConfig(parseHubBase(base)!)?.model_type, "t5");
  assertEquals(hubConfig({ id: "someone/else", revision: "main" }), undefined);
});

Deno.test("what is not here is named, with the way to come by it", async () => {
  await assertRejects(
    () => openBase(base),
    Error,
    "Cannot open base google-t5/t5-small: its weights are not here; " +
      "run ./tunegrid fetch google-t5/t5-small --revision abc, or name a folder",
  );
  const data = "hf:stanfordnlp/sst2@main";
  await assertRejects(
    () => openData(resolveExperiment(sweep({ methods: "full", data }), methods)),
    Error,
    "Cannot open data stanfordnlp/sst2: it is not here; " +
      "run ./tunegrid fetch stanfordnlp/sst2 --data --revision main, or name a folder by --data",
  );
  await assertRejects(
    () => openData(resolveExperiment(sweep({ methods: "full", data: SST2 }), methods)),
    Error,
    "Cannot open data SST-2: it is not here, and nothing is downloaded; unpack https://",
  );
});

Deno.test("a folder stands for the base that an experiment names, and keeps its settings", async () => {
  const preset = sweep({
    base,
    data: SST2,
    methods: "full:lr=2e-5",
    split: 0.2,
    settings: { epochs: 10 },
  });
  const read = async (...args: string[]) => (await experimentFromArgs(args, preset, methods))!;
  const found = await read("--base", "models/t5", "--data", "sst2", "--batch", "8");
  assertEquals([found.base, found.data, found.split], ["models/t5", "sst2", 0.2]);
  assertEquals(found.settings, { epochs: 10, batchSize: 8 });
  assertEquals(found.methods[0].settings, { learningRate: 2e-5 });
});

Deno.test("a published row belongs to one method with its options, whatever its settings", () => {
  const find = findPublished({
    source: "",
    measured: "",
    rows: [{ method: "lora:rank=8", accuracy: 88.9 }, {
      method: "lora:rank=8;semantics=peft",
      accuracy: 89,
    }],
  }, methods);
  const accuracy = (text: string) => find(parseMethods(text, methods)[0])?.accuracy;
  assertEquals(accuracy("lora:lr=1e-3"), 88.9);
  assertEquals(accuracy("lora:semantics=peft"), 89);
  assertEquals(accuracy("lora:rank=4"), undefined);
  assertEquals(findPublished(undefined, methods)({ name: "full", options: {} }), null);
});
