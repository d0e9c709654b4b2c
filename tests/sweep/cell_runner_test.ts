import { assert, assertEquals, assertRejects } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { type Experiment, resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { runFolder, runSweep } from "../../lib/sweep/runner.ts";
import { fixtureTest } from "../fixtures.ts";

const silent = {
  start: () => {},
  step: () => {},
  epoch: () => {},
  end: () => Promise.resolve(),
};

/** Runs an experiment and returns, for each cell's folder, its files' bytes by name. */
async function runAll(partial: Partial<Experiment> & Pick<Experiment, "methods">) {
  const out = await Deno.makeTempDir();
  try {
    const prepared = await prepareSweep(resolveExperiment(sweep({ ...partial, out }), methods));
    try {
      const summary = await runSweep(prepared.cells, prepared.runCell, {
        out,
        label: ({ name }) => name,
        environment: environment(prepared.adapter ?? null),
        reporter: silent,
        signal: new AbortController().signal,
      });
      const folders = await Promise.all(prepared.cells.map(async (cell) => {
        const files = new Map<string, Uint8Array>();
        for await (const { name } of Deno.readDir(runFolder(out, cell))) {
          files.set(name, await Deno.readFile(`${runFolder(out, cell)}/${name}`));
        }
        return { cell, files };
      }));
      return { summary, folders };
    } finally {
      prepared.close();
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

const small = {
  methods: "zero_shot head full soft_prompt:tokens=2 adapter:bottleneck=4 lora:rank=4;dropout=0.1",
  trainSize: 96,
  settings: { epochs: 2 },
} satisfies Partial<Experiment>;

Deno.test("the same cell run twice gives the same bytes in every file that holds no time", async () => {
  const [first, second] = [await runAll(small), await runAll(small)];
  assertEquals(first.summary, { done: 6, skipped: 0, failed: 0 });
  first.folders.forEach(({ cell, files }, i) => {
    const again = second.folders[i].files;
    assertEquals([...again.keys()].sort(), [...files.keys()].sort());
    for (const [name, bytes] of files) {
      if (name === "times.json") continue;
      assertEquals(again.get(name), bytes, `${cell.method.name}: ${name}`);
    }
    const expected = [
      "local.json",
      "metrics.jsonl",
      "predictions.csv",
      "predictions_test.csv",
      "result.json",
    ]
      .concat("run.json", "times.json");
    const trained = cell.method.name === "zero_shot"
      ? []
      : ["delta.safetensors", "losses.safetensors"];
    assertEquals([...files.keys()].sort(), [...trained, ...expected].sort());
  });
});

Deno.test("another seed gives other results", async () => {
  const one = { ...small, methods: "lora:rank=4" };
  const [a, b] = [await runAll({ ...one, seeds: [0] }), await runAll({ ...one, seeds: [1] })];
  const weights = ({ folders }: typeof a) => folders[0].files.get("delta.safetensors")!;
  assert(weights(a).some((byte, i) => byte !== weights(b)[i]));
});

Deno.test("what no cell can run with is refused before anything runs", async () => {
  const cases: [Partial<Experiment>, string][] = [
    [{ labelWords: ["positive", "positive again"] }, "first token"],
    [{ methods: "head lora:targets=q,foo" }, 'target "foo" matches no layer'],
    [{ methods: "head bitfit" }, "the model has no bias"],
    [{ methods: "head lora:init=pissa;rank=65" }, "more than its 64 singular values"],
    [{ settings: { maxLength: 1 } }, "Cannot cut a text to 1 tokens"],
    [{ settings: { classWeights: { "0": 1, "1": 2 } } }, "Cannot weight classes 0, 1"],
    [{ trainSize: 10 ** 8 }, "Cannot sample 100000000 training examples"],
  ];
  for (const [changes, message] of cases) {
    await assertRejects(
      () =>
        runAll({ ...small, ...changes }).then(({ summary }) => {
          throw new Error(summary.failed > 0 ? "too late" : "not at all");
        }),
      RangeError,
      message,
    );
  }
});

fixtureTest("a base that does not fit is refused before anything runs", async (folder) => {
  const base = await Deno.makeTempDir();
  try {
    const from = `${folder}/data/stories260K-hf`;
    for await (const { name } of Deno.readDir(from)) {
      await Deno.copyFile(`${from}/${name}`, `${base}/${name}`);
    }
    const prepare = (changes: Partial<Experiment>) =>
      prepareSweep(resolveExperiment(
        sweep({ base, data: `${folder}/data/sst2`, methods: "zero_shot head", ...changes }),
        methods,
      ));
    const config = JSON.parse(await Deno.readTextFile(`${from}/config.json`));
    await Deno.writeTextFile(
      `${base}/config.json`,
      JSON.stringify({ ...config, num_hidden_layers: config.num_hidden_layers + 1 }),
    );
    await assertRejects(() => prepare({}), TypeError, "is missing");
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});

fixtureTest("a Llama folder runs through the same sweep", async (folder) => {
  const { summary, folders } = await runAll({
    base: `${folder}/data/stories260K-hf`,
    data: `${folder}/data/sst2`,
    methods: "zero_shot head lora:rank=1",
    trainSize: 32,
    evaluate: ["validation"],
    settings: { epochs: 1, maxLength: 24 },
  });
  assertEquals(summary, { done: 3, skipped: 0, failed: 0 });
  for (const { files } of folders) {
    const result = JSON.parse(new TextDecoder().decode(files.get("result.json")));
    assertEquals(result.examples, 872);
  }
});
