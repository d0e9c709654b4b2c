import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parse } from "@std/csv/parse";
import { Random } from "../../lib/data/random.ts";
import { methods } from "../../lib/peft/index.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { type Experiment, resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import type { RunResult } from "../../lib/sweep/run_folder.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { writeTable } from "../../lib/sweep/table.ts";
import { options, withFolder } from "./fake_sweep.ts";

/** Four classes, told by a noun; half of the examples are of the first. */
const NOUNS = { lovely: "film", dull: "meal", great: "book", silly: "room" };
const SHARES = ["dull", "dull", "dull", "dull", "great", "great", "lovely", "silly"] as const;

function tsv(count: number, seed: number): string {
  const random = new Random(seed, "four classes");
  const rows = Array.from({ length: count }, (_, i) => {
    const label = SHARES[i % SHARES.length];
    const [a, b] = ["good", "bad", "poor", "clever", "boring"].filter(() => random.below(2) === 0);
    return `a ${a ?? "nasty"} ${NOUNS[label]} , ${b ?? "superb"} ${i}\t${label}`;
  });
  return ["sentence\tlabel", ...rows].join("\n") + "\n";
}

type Given = Partial<Experiment> & Pick<Experiment, "methods">;

/** Runs an experiment on files; gives every cell's result, the texts of its files, and the table. */
async function run(files: Record<string, string>, data: string, partial: Given) {
  const found: { result: RunResult; files: Record<string, string>; splits: string }[] = [];
  let table = "";
  await withFolder(async (folder) => {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const experiment = sweep({ ...partial, data: `${folder}/${data}`, out: `${folder}/out` });
    const prepared = await prepareSweep(resolveExperiment(experiment, methods));
    try {
      const settings = options(experiment.out);
      await runSweep(prepared.cells, prepared.runCell, { ...settings, label: ({ name }) => name });
      for (const [i, cell] of prepared.cells.entries()) {
        const outcome = settings.outcomes[i];
        if (outcome.kind !== "done") throw new Error(JSON.stringify(outcome));
        const own: Record<string, string> = {};
        for await (const { name } of Deno.readDir(`${experiment.out}/${cellId(cell)}`)) {
          if (name.endsWith(".safetensors")) continue;
          own[name] = await Deno.readTextFile(`${experiment.out}/${cellId(cell)}/${name}`);
        }
        found.push({
          result: JSON.parse(own["result.json"]),
          files: own,
          splits: cell.data.splits,
        });
      }
      table = await writeTable(experiment.out, prepared.cells.map(cellId));
    } finally {
      prepared.close();
    }
  });
  return { found, table };
}

const folder = { "train.tsv": tsv(160, 1), "dev.tsv": tsv(40, 2), "test.tsv": tsv(24, 3) };

Deno.test("four classes: head and label words, class weights, every split, the best epoch", async () => {
  const { found, table } = await run(folder, ".", {
    methods: "zero_shot head:lr=0.1 full",
    evaluate: ["test", "train"],
    settings: {
      epochs: 10,
      schedule: "constant",
      batchSize: 16,
      microBatch: 8,
      classWeights: "balanced",
      keep: "best",
      metric: "loss",
    },
  });
  const [zeroShot, head, full] = found;
  assertEquals(zeroShot.result.head, "label_words");
  assertEquals([head.result.head, full.result.head], ["seeded", "label_words"]);
  for (const { result, files } of found) {
    const { validation, test, train } = result.splits;
    assertEquals([validation.examples, test.examples, train.examples], [40, 24, 160]);
    assertEquals(validation.perClass.map(({ support }) => support), [20, 10, 5, 5]);
    assertEquals(test.confusion.map((row) => row.reduce((a, b) => a + b)), [12, 6, 3, 3]);
    assertEquals(validation.f1, validation.macro.f1);
    const epochs = files["metrics.jsonl"].trim().split("\n").map((line) => JSON.parse(line));
    const losses = epochs.map(({ evalLoss }) => evalLoss);
    assertEquals(result.kept.evalLoss, Math.min(...losses));
    assertEquals(result.kept, epochs[losses.indexOf(Math.min(...losses))]);
    assertEquals(validation.loss, result.kept.evalLoss);
    // The predictions are those of the kept epoch, and give its metrics again.
    for (const [name, split] of [["", validation], ["_test", test], ["_train", train]] as const) {
      const rows = parse(files[`predictions${name}.csv`], { skipFirstRow: true });
      const correct = rows.filter((row) => row.label === row.prediction).length;
      assertEquals([rows.length, correct / rows.length], [split.examples, split.accuracy]);
    }
  }
  // The first class's share is one half; what knows the noun is better at all four.
  for (const { result } of [head, full]) {
    assert(result.splits.validation.accuracy > 0.85, `${result.splits.validation.accuracy}`);
    assert(result.splits.test.macro.recall > 0.8, `${result.splits.test.macro.recall}`);
  }
  assertStringIncludes(table, "test acc");
  assertStringIncludes(table.replace(/\s+/g, " "), "best validation loss");
  assertStringIncludes(table, 'label words "dull", "great", "lovely", "silly"');
});

Deno.test("patience ends a run, and its result says so", async () => {
  const { found: [{ result, files }] } = await run(folder, ".", {
    methods: "head",
    // A rate far too small to change a prediction.
    settings: { epochs: 6, learningRate: 1e-12, patience: 2 },
  });
  assertEquals([result.stoppedEarly, result.last.epoch, result.best.epoch], [true, 3, 1]);
  assertEquals(files["metrics.jsonl"].trim().split("\n").length, 3);
  assertEquals(result.kept, result.last);
});

Deno.test("a single file is split by ratio and seed, and the cell says so", async () => {
  const experiment = (splitSeed: number): Given => ({
    methods: "zero_shot",
    split: 0.2,
    splitSeed,
    settings: { epochs: 1 },
  });
  const [a, b, c] = [
    await run(folder, "train.tsv", experiment(3)),
    await run(folder, "train.tsv", experiment(3)),
    await run(folder, "train.tsv", experiment(4)),
  ];
  const [{ splits, result, files }] = a.found;
  assertEquals(splits, "train: train.tsv, validation: 0.2 of train, stratified, seed 3");
  assertEquals(result.splits.validation.perClass.map(({ support }) => support), [16, 8, 4, 4]);
  assertEquals(Object.keys(result.splits), ["validation"]);
  assertEquals(files["predictions.csv"], b.found[0].files["predictions.csv"]);
  assert(files["predictions.csv"] !== c.found[0].files["predictions.csv"]);
  await assertRejects(
    () => run(folder, ".", experiment(3)),
    RangeError,
    "dev.tsv is the validation split already; leave out the ratio, or name the training file",
  );
});

Deno.test("what does not fit the data is refused before anything runs", async () => {
  const refuse = async (partial: Given, message: string, data = ".") => {
    await assertRejects(() => run(folder, data, partial), RangeError, message);
  };
  await refuse(
    { methods: "head", settings: { classWeights: { dull: 1, great: 2, lovely: 2, good: 3 } } },
    "Cannot weight classes dull, great, lovely, good: the data's labels are dull, great, lovely",
  );
  await refuse(
    { methods: "head", settings: { classWeights: { dull: 1, great: 2 } } },
    "give one weight for each",
  );
  await refuse(
    { methods: "head", evaluate: ["test"] },
    "Cannot evaluate on test: the data has no test split with labels",
    "train.tsv",
  );
  await refuse({ methods: "head", evaluate: ["dev"] }, "different ones of train, validation");
  await refuse({ methods: "head", split: 1 }, "a number between 0 and 1");
  await refuse({ methods: "head", settings: { batchSize: 4, microBatch: 8 } }, "has 4 examples");
  await assertRejects(
    () =>
      run({ ...folder, "dev.tsv": "sentence\tlabel\na film\tfunny\n" }, ".", {
        methods: "head",
      }),
    Error,
    'unknown label "funny"',
  );
});

Deno.test("--task classification puts a head on a text-to-text base under every method", async () => {
  const { found, table } = await run(folder, ".", {
    methods: "zero_shot lora:rank=2;lr=2e-2",
    task: "classification",
    settings: { epochs: 4, batchSize: 16 },
  });
  assertEquals(found.map(({ result }) => result.head), ["seeded", "seeded"]);
  const [zeroShot, lora] = found.map(({ result }) => result.parameters);
  // The head of four classes on a width of 64, without the decoder; LoRA on the encoder's q and v.
  assertEquals(lora.total - zeroShot.total, lora.trainable - (4 * 64 + 4));
  const accuracy = found[1].result.splits.validation.accuracy;
  assert(accuracy > 0.7, `${accuracy}`); // the first class's share is one half
  assertStringIncludes(table.replace(/\s+/g, " "), "not in label words");
});
