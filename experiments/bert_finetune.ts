/**
 * BERT-base, fully fine-tuned at 2e-5 under a new head.
 *
 * @module
 */
import { sweep } from "../lib/sweep/experiment.ts";
import type { PublishedTable } from "../lib/sweep/published.ts";
import { hubBase, SST2 } from "../lib/sweep/references.ts";
import { type Preset, start } from "../lib/sweep/start.ts";

const published: PublishedTable = {
  source: "README of the text-classification examples in huggingface/transformers, GLUE's dev set",
  measured: "bert-base-cased (ours is uncased), after 3 epochs at 2e-5, batch 32, 128 tokens",
  rows: [{ method: "full", accuracy: 92.32 }],
};

const preset: Preset = {
  about: `Fine-tunes all of BERT-base on SST-2 at a rate of 2e-5, under a new head.

  deno task experiment bert-finetune --base DIR --data DIR [options]
  deno task experiment bert-finetune --dry-run`,
  experiment: sweep({
    base: hubBase({
      id: "google-bert/bert-base-uncased",
      revision: "86b5e0934494bd15c9632b12f734a8a67f723594",
    }),
    data: SST2,
    methods: "zero_shot full:lr=2e-5",
    settings: { epochs: 3, batchSize: 32, maxLength: 128 },
    out: "runs/bert_finetune",
  }),
  published,
};

export default preset;

if (import.meta.main) await start(preset, Deno.args);
