/**
 * A frozen encoder under a trained classifier: BERT's, T5's, or that of any other base.
 *
 * @module
 */
import { sweep } from "../lib/sweep/experiment.ts";
import { hubBase, SST2 } from "../lib/sweep/references.ts";
import { type Preset, start } from "../lib/sweep/start.ts";

const preset: Preset = {
  about: `Trains a classifier on a frozen encoder: BERT-base's, or that of another base.

  deno task experiment frozen-encoder --base DIR --data DIR [options]
  deno task experiment frozen-encoder --dry-run

Of a T5 the encoder alone is used, whose states are averaged over the tokens.`,
  experiment: sweep({
    base: hubBase({
      id: "google-bert/bert-base-uncased",
      revision: "86b5e0934494bd15c9632b12f734a8a67f723594",
    }),
    data: SST2,
    methods: "head:lr=1e-3",
    settings: { epochs: 3, batchSize: 32, maxLength: 128 },
    out: "runs/frozen_encoder",
  }),
};

export default preset;

if (import.meta.main) await start(preset, Deno.args);
