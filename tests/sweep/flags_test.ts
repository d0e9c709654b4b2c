import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  checkExperimentValue,
  type Experiment,
  resolveExperiment,
  sweep,
} from "../../lib/sweep/experiment.ts";
import { experimentFromArgs } from "../../lib/sweep/flags.ts";
import { resolveLabelWords } from "../../lib/sweep/label_words.ts";
import { registry, withFolder } from "./fake_sweep.ts";

const defaults = sweep({ methods: "zero_shot full", settings: { epochs: 5 } });
const read = (...args: string[]) => experimentFromArgs(args, defaults, registry);

Deno.test("experimentFromArgs() without arguments is the default experiment", async () => {
  assertEquals(await read(), resolveExperiment(defaults, registry));
  assertEquals(await read("--help"), null);
});

Deno.test("experimentFromArgs() reads every flag", async () => {
  const found = await read(
    ...["--base", "models/t5", "--data", "sst2", "--methods", "lora:rank=1 full"],
    ...["--lr", "1e-3,2e-3", "--epochs", "2", "--batch=16", "--max-length", "64"],
    ...["--warmup", "10", "--schedule", "constant", "--clip", "none", "--weight-decay", "0"],
    ...["--decay", "matrices", "--frozen-dropout", "0.1", "--train-size", "4000"],
    ...["--seeds", "0,1,2", "--out", "else", "--dedupe", "--text-column", "t"],
    ...["--label-column", "l", "--label-words", "0=bad,1=good", "--prefix", "sst2 sentence: "],
    ...[
      "--task",
      "classification",
      "--recompute",
      "always",
      "--memory",
      "2GB",
      "--tune",
      "2.5",
      "--precision",
      "f16",
    ],
    ...["--choose", "lr,rank", "--sample", "5", "--sample-seed", "7", "--budget", "20m"],
    ...["--split", "0.2", "--split-seed", "3", "--eval", "test,train", "--start", "saved/lora"],
    ...[
      "--eval-backend",
      "ort",
      "--checkpoint",
      "5m",
      "--halving",
      "3",
      "--cells-per-program",
      "4",
    ],
    ...["--micro-batch", "8", "--optimizer", "adafactor", "--scale-parameter", "true"],
    ...["--class-weights", "0:1,1:3", "--patience", "2", "--metric", "f1", "--keep", "best"],
  );
  assertEquals(found, {
    base: "models/t5",
    data: "sst2",
    methods: [
      { name: "lora", options: { rank: 1 }, settings: {} },
      { name: "full", options: {}, settings: {} },
    ],
    axes: { learningRate: [1e-3, 2e-3] },
    seeds: [0, 1, 2],
    choose: ["lr", "rank"],
    sample: 5,
    sampleSeed: 7,
    budget: 1200,
    halving: 3,
    cellsPerProgram: 4,
    recompute: "always",
    memory: 2e9,
    tune: 2.5,
    checkpoint: { seconds: 300 },
    precision: "f16",
    settings: {
      epochs: 2,
      batchSize: 16,
      maxLength: 64,
      warmup: 10,
      schedule: "constant",
      clipNorm: null,
      weightDecay: 0,
      decay: "matrices",
      frozenDropout: 0.1,
      microBatch: 8,
      optimizer: "adafactor",
      scaleParameter: true,
      classWeights: { 0: 1, 1: 3 },
      patience: 2,
      metric: "f1",
      keep: "best",
    },
    trainSize: 4000,
    split: 0.2,
    splitSeed: 3,
    evaluate: ["test", "train"],
    evalBackend: "ort",
    dedupe: true,
    textColumn: "t",
    labelColumn: "l",
    labelWords: { 0: "bad", 1: "good" },
    task: "classification",
    prefix: "sst2 sentence: ",
    start: "saved/lora",
    out: "else",
  });
});

Deno.test("class weights hold commas, and are one value", async () => {
  const found = await read(
    "--methods",
    "full:class-weights=0:1,1:3 lora:class-weights=none,balanced",
  );
  assertEquals(found?.methods.map(({ settings }) => settings), [
    { classWeights: { 0: 1, 1: 3 } },
    { classWeights: null },
    { classWeights: "balanced" },
  ]);
  assertEquals((await read("--class-weights", "none,balanced"))?.axes.classWeights, [
    null,
    "balanced",
  ]);
  for (const text of ["0:1,0:2", "0:1,1:x", "0:1,1", "0:1,1:-1", ":1"]) {
    await assertRejects(() => read("--class-weights", text), RangeError, "--class-weights");
  }
});

Deno.test("--axes gives every method the values of options that it has", async () => {
  const found = await read(
    ...[
      "--methods",
      "full lora lora:rank=4 zero_shot",
      "--axes",
      "rank=1,8; lr,batch=1e-3:8,1e-2:32",
    ],
  );
  const small = { learningRate: 1e-3, batchSize: 8 };
  const large = { learningRate: 1e-2, batchSize: 32 };
  assertEquals(found?.methods.map(({ name, options, settings }) => [name, options, settings]), [
    ["full", {}, small],
    ["full", {}, large],
    ["lora", { rank: 1 }, small],
    ["lora", { rank: 1 }, large],
    ["lora", { rank: 8 }, small],
    ["lora", { rank: 8 }, large],
    ["lora", { rank: 4 }, small],
    ["lora", { rank: 4 }, large],
    ["zero_shot", {}, {}],
  ]);
  assertEquals((await read("--choose", "none"))?.choose, []);
});

Deno.test("experimentFromArgs() puts flags before the file and the file before the default", () =>
  withFolder(async (folder) => {
    const path = `${folder}/experiment.json`;
    const file: Partial<Experiment> = {
      seeds: [3],
      methods: [{ name: "lora", options: { rank: 2 } }],
      axes: { learningRate: [0.1, 0.2] },
      settings: { batchSize: 8 },
    };
    await Deno.writeTextFile(path, JSON.stringify(file));
    const found = await read("--experiment", path, "--lr", "0.3", "--prefix", "");
    assertEquals(found?.seeds, [3]);
    assertEquals(found?.axes, {});
    assertEquals(found?.settings, { batchSize: 8, learningRate: 0.3 });
    assertEquals(found?.methods, [{ name: "lora", options: { rank: 2 }, settings: {} }]);
    assertEquals(found?.prefix, "");
  }));

Deno.test("experimentFromArgs() leaves the default's settings to its own base and data", async () => {
  assertEquals((await read("--seeds", "4"))?.settings, { epochs: 5 });
  assertEquals((await read("--base", "models/t5"))?.settings, {});
});

Deno.test("experimentFromArgs() refuses what it does not know", async () => {
  const cases: [string[], string][] = [
    [["--rank", "8"], "Cannot use option --rank: no such option; use --base, --data"],
    [["-x"], "Cannot use option -x"],
    [["lora"], 'Cannot use argument "lora": only options are taken'],
    [["--lr", "x"], 'Cannot use --lr "x": must be a number above 0'],
    [["--lr"], 'Cannot use --lr ""'],
    [["--lr", "1e-3,"], 'Cannot use --lr ""'],
    [["--lr", "-1"], "Cannot use"],
    [["--epochs", "0"], "Cannot use --epochs 0: must be a whole number of at least 1"],
    [["--precision", "f8"], 'Cannot use --precision "f8": must be f32 or f16'],
    [["--batch", "2.5"], "Cannot use --batch 2.5"],
    [["--schedule", "step"], 'Cannot use --schedule "step": must be linear, cosine or constant'],
    [["--seeds", "0,0"], "Cannot use --seeds [0,0]: must be different whole numbers"],
    [["--seeds", "0,a"], "Cannot use --seeds"],
    [["--seeds", "4294967296"], "Cannot use --seeds"],
    [["--train-size", "0"], "Cannot use --train-size 0"],
    [["--choose", "width"], 'Cannot choose "width": neither a setting nor an option of these'],
    [["--sample", "0"], "Cannot use --sample 0: must be a whole number of at least 1"],
    [["--sample-seed", "0.5"], "Cannot use --sample-seed 0.5"],
    [["--budget", "20"], 'Cannot use --budget "20": must be a time such as 90s, 20m or 2h'],
    [["--budget", "0m"], 'Cannot use --budget "0m"'],
    [["--axes", "width=1"], 'Cannot use "width=1" in --axes: no method has width open'],
    [["--axes", "lr"], 'Cannot read "lr" in --axes'],
    [["--axes", "lr,batch=1e-3:8,1e-2"], "Cannot link lr and batch in --axes"],
    [["--axes", "lr,batch=1e-3:x"], "--axes's batch"],
    [["--base", ""], 'Cannot use --base "": must be a folder, or embedded'],
    [["--methods", ""], 'Cannot use --methods ""'],
    [["--methods", "lora:rank=0"], "must be at least 1"],
    [["--methods", "zero_shot:lr=1"], "Cannot give zero_shot training settings"],
    [["--label-words", "good"], "at least two labels"],
    [["--label-words", "good,good"], "different words"],
    [["--label-words", "0=bad,good"], "use label=word for each label"],
    [["--label-words", "0=bad,0=good"], "use label=word for each label"],
    [["--experiment", "no/such/file.json"], "Cannot read experiment no/such/file.json: no such"],
  ];
  for (const [args, message] of cases) {
    await assertRejects(() => read(...args), Error, message, args.join(" "));
  }
});

Deno.test("experimentFromArgs() refuses a bad JSON file", () =>
  withFolder(async (folder) => {
    const cases: [string, string][] = [
      ["", "Cannot read experiment"],
      ["[1]", "must hold one JSON object"],
      ['{"seeds": [0], "seeds": [1]}', 'the key "seeds" is repeated'],
      ['{"method": "full"}', 'Cannot use "method" in an experiment: no such value; use base'],
      ['{"seeds": 1}', "Cannot use seeds 1"],
      ['{"settings": {"lr": 1}}', 'Cannot use setting "lr": no such setting; use learningRate'],
      ['{"settings": 3}', "Cannot use settings 3"],
      ['{"axes": {"learningRate": 1}}', "must be a list of at least one value"],
      ['{"axes": {"learningRate": [0]}}', "Cannot use learningRate 0"],
      ['{"methods": []}', "a list of at least one method"],
      ['{"methods": ["full"]}', "must be an object with a name"],
      ['{"methods": [{"name": "full", "rank": 1}]}', 'Cannot use "rank" for method full'],
      ['{"methods": [{"name": "lora", "options": {"rank": [1]}}]}', "Cannot use option rank [1]"],
      ['{"methods": [{"name": "lora", "options": {"rank": 0}}]}', "must be at least 1"],
      ['{"methods": [{"name": "nope"}]}', 'Cannot use method "nope"'],
      ['{"methods": [{"name": "full", "settings": {"epochs": -1}}]}', "full's epochs -1"],
    ];
    for (const [text, message] of cases) {
      const path = `${folder}/experiment.json`;
      await Deno.writeTextFile(path, text);
      await assertRejects(() => read("--experiment", path), Error, message, text);
    }
  }));

Deno.test("resolveLabelWords() matches words to classes", () => {
  assertEquals(resolveLabelWords(null, ["0", "1"]), ["negative", "positive"]);
  assertEquals(resolveLabelWords(null, ["ham", "spam"]), ["ham", "spam"]);
  assertEquals(resolveLabelWords(["bad", "good"], ["0", "1"]), ["bad", "good"]);
  const named = ["negative", "positive"];
  assertEquals(resolveLabelWords(["positive", "negative"], named), named);
  assertEquals(resolveLabelWords({ 1: "good", 0: "bad" }, ["0", "1"]), ["bad", "good"]);
  assertThrows(() => resolveLabelWords(["a", "b"], ["0", "1", "2"]), RangeError, "3 labels");
  assertThrows(() => resolveLabelWords({ 0: "a", 2: "b" }, ["0", "1"]), RangeError, "are 0, 1");
});

Deno.test("a checkpoint's interval is one number above zero", () => {
  const check = (value: unknown) => checkExperimentValue("checkpoint", value);
  for (const value of [null, { steps: 1 }, { seconds: 0.5 }]) check(value);
  const wrong = [{}, 5, { steps: 1.5 }, { steps: 0 }, { seconds: -1 }, { seconds: Infinity }];
  const odd = [{ seconds: "9" }, { seconds: { valueOf: [], toString: 1 } }, { other: 3 }];
  for (const value of [...wrong, ...odd]) {
    assertThrows(() => check(value), RangeError, "Cannot use checkpoint");
  }
});
