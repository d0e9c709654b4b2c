/**
 * GPT-2 with LoRA in half precision on SST-2, beside the base with its untrained head.
 *
 * @module
 */
import { sweep } from "../lib/sweep/experiment.ts";
import { hubBase, SST2 } from "../lib/sweep/references.ts";
import { type Preset, start } from "../lib/sweep/start.ts";

const preset: Preset = {
  about: `Trains GPT-2 on SST-2 by LoRA (rank 8, alpha 16, dropout 0.1) in half precision.

  deno task experiment gpt2-lora --base DIR --data DIR [options]
  deno task experiment gpt2-lora --dry-run`,
  experiment: sweep({
    base: hubBase({
      id: "openai-community/gpt2",
      revision: "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    }),
    data: SST2,
    methods: "zero_shot lora:rank=8;alpha=16;dropout=0.1;lr=3e-4",
    settings: { epochs: 3, batchSize: 32, maxLength: 128 },
    precision: "f16",
    out: "runs/gpt2_lora",
  }),
};

export default preset;

if (import.meta.main) await start(preset, Deno.args);
