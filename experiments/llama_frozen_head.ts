/**
 * Llama-3.2-1B, all frozen, under a trained classification head, beside the untrained head.
 *
 * @module
 */
import { sweep } from "../lib/sweep/experiment.ts";
import { hubBase, SST2 } from "../lib/sweep/references.ts";
import { type Preset, start } from "../lib/sweep/start.ts";

const preset: Preset = {
  about: `Trains a classification head of 4,096 parameters on the frozen Llama-3.2-1B.

  deno task experiment llama-frozen-head --base DIR --data train.tsv [options]
  deno task experiment llama-frozen-head --dry-run

A fifth of the training file, each class in proportion, becomes the validation split.`,
  experiment: sweep({
    base: hubBase({
      id: "meta-llama/Llama-3.2-1B",
      revision: "4e20de362430cd3b72f300e6b0f18e50e7166e08",
    }),
    data: SST2,
    split: 0.2,
    methods: "zero_shot head:lr=1e-3",
    settings: { epochs: 3, batchSize: 32, maxLength: 128 },
    out: "runs/llama_frozen_head",
  }),
};

export default preset;

if (import.meta.main) await start(preset, Deno.args);
