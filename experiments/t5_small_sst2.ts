/**
 * T5-small on SST-2, text to text: full fine-tuning, soft prompts, adapters and LoRA, each under the
 * semantics of the library that the published table had it from.
 *
 * @module
 */
import { sweep } from "../lib/sweep/experiment.ts";
import type { PublishedTable } from "../lib/sweep/published.ts";
import { hubBase, SST2 } from "../lib/sweep/references.ts";
import { type Preset, start } from "../lib/sweep/start.ts";

const published: PublishedTable = {
  source: "the T5-small table on SST-2 that the README reproduces",
  measured: "its accuracies are maxima over ten epochs, as in our first column",
  rows: [
    { method: "full", accuracy: 90.0, total: 60_506_624, trainable: 60_506_624 },
    { method: "soft_prompt:tokens=10", accuracy: 86.8, total: 60_511_744, trainable: 5_120 },
    { method: "soft_prompt:tokens=10;semantics=opendelta", accuracy: 87.1 },
    { method: "soft_prompt:tokens=1;semantics=opendelta", accuracy: 84.9 },
    { method: "adapter:bottleneck=8", accuracy: 90.6, total: 60_611_168, trainable: 104_544 },
    {
      method: "adapter:bottleneck=8;semantics=adapterhub",
      accuracy: 90.3,
      trainable: 104_544,
    },
    { method: "adapter:bottleneck=1;semantics=adapterhub", accuracy: 89.1 },
    { method: "lora:rank=8", accuracy: 88.9, total: 60_801_536, trainable: 294_912 },
    { method: "lora:rank=8;semantics=peft", accuracy: 89.0, trainable: 294_912 },
    { method: "lora:rank=1;semantics=peft", accuracy: 88.8, trainable: 36_864 },
  ],
};

const preset: Preset = {
  about: `Trains T5-small on SST-2, text to text, by the ten approaches of the published table.

  deno task experiment t5-small-sst2 --base DIR --data DIR [options]
  deno task experiment t5-small-sst2 --dry-run`,
  experiment: sweep({
    base: hubBase({
      id: "google-t5/t5-small",
      revision: "df1b051c49625cf57a3d0d8d3863ed4d13564fe4",
    }),
    data: SST2,
    methods: published.rows.map(({ method }) => method).join(" "),
    settings: { epochs: 10, batchSize: 32, maxLength: 128 },
    out: "runs/t5_small_sst2",
  }),
  published,
};

export default preset;

if (import.meta.main) await start(preset, Deno.args);
