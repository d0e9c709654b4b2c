import { assertThrows } from "@std/assert";
import type { Dataset } from "../../lib/data/dataset.ts";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { makeBase } from "../../lib/sweep/base.ts";
import { checkCells, checkTask } from "../../lib/sweep/check_cells.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { expandGrid } from "../../lib/sweep/grid.ts";
import { type Changes, checkpoint } from "../checkpoint.ts";
import { bertConfig, t5Config } from "../small_models.ts";
import { context } from "./fake_sweep.ts";

const WORDS = { words: ["no", "yes"], ids: [[11], [100]] };

/** Checks methods on a small model, whose tokenizer gives every letter an id. */
function check(data: Dataset, config: RawConfig, text: string, changes?: Changes): void {
  const base = makeBase({
    name: "small",
    config,
    source: checkpoint(buildModel(config, { classes: 2, head: false }), changes),
    digest: "",
    tokenizerDigest: "",
    tokenizer: {
      encode: (text, most = Infinity) => [...text].map(() => 5).slice(0, most),
      encodeBare: (text) => [...text].map(() => 5),
      decode: () => "",
      tokenToId: () => undefined,
      vocabSize: 121,
      padId: 0,
      checkFits: () => {},
    },
  });
  const experiment = resolveExperiment(sweep({ methods: text }), methods);
  const cells = expandGrid(experiment, { ...context, data: { ...context.data, trainSize: null } });
  checkCells(cells, base, data, WORDS);
}

Deno.test("a method that a model cannot take is refused by the last of many cells too", async () => {
  const data = await embeddedDataset();
  check(data, t5Config, "head lora:rank=2 prefix:tokens=3");
  check(data, bertConfig, "bitfit prefix:semantics=peft soft_prompt");
  const cases: [RawConfig, string, string][] = [
    [t5Config, "bitfit", "the model has no bias"],
    [t5Config, "prefix:semantics=peft", "PEFT gives it 20 numbers for each key, not the 3 × 6"],
    [bertConfig, "lora:targets=q", 'target "q" matches no layer'],
    [bertConfig, "prefix:tokens=23", "Cannot put 23 tokens in front of a text"],
  ];
  for (const [config, text, message] of cases) {
    assertThrows(() => check(data, config, `full ${text}`), Error, message);
  }
});

Deno.test("a checkpoint that does not fit is refused before its weights are read", async () => {
  const data = await embeddedDataset();
  assertThrows(
    () => check(data, t5Config, "full", { drop: ["shared.weight"] }),
    TypeError,
    "shared.weight is missing",
  );
});

Deno.test("a base without words is not asked for any", () => {
  checkTask(null, false, "bert");
  checkTask("text-to-text", true, "t5");
  assertThrows(
    () => checkTask("text-to-text", false, "bert"),
    RangeError,
    "Cannot use task text-to-text with base bert: it classifies by a head alone",
  );
});
