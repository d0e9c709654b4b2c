/**
 * Published experiments by name: `deno task experiment NAME`, see `--help`.
 *
 * @module
 */
import { type Preset, start } from "../lib/sweep/start.ts";

/** What each does, and its script. */
const scripts: Readonly<
  Record<string, readonly [about: string, load: () => Promise<{ default: Preset }>]>
> = {
  "t5-small-sst2": ["T5-small, ten approaches, text to text", () => import("./t5_small_sst2.ts")],
  "gpt2-lora": ["GPT-2 with LoRA in half precision", () => import("./gpt2_lora.ts")],
  "llama-frozen-head": [
    "Llama-3.2-1B, frozen, under a trained head",
    () => import("./llama_frozen_head.ts"),
  ],
  "bert-finetune": ["BERT-base, fully fine-tuned", () => import("./bert_finetune.ts")],
  "frozen-encoder": [
    "any frozen encoder under a trained classifier",
    () => import("./frozen_encoder.ts"),
  ],
};

if (import.meta.main) {
  const [name, ...args] = Deno.args;
  const names = Object.keys(scripts);
  if (name === undefined || name === "--help") {
    const width = Math.max(...names.map((one) => one.length));
    console.log([
      "Runs a published experiment, on a local copy of its base and data.",
      "",
      "  deno task experiment NAME --base DIR --data DIR [options]",
      "  deno task experiment NAME --dry-run        cells, parameters, bytes and operations alone",
      "  deno task experiment NAME --help           what it does, and all options",
      "",
      ...names.map((one) => `  ${one.padEnd(width)}  ${scripts[one][0]}`),
    ].join("\n"));
  } else if (!Object.hasOwn(scripts, name)) {
    console.error(
      `error: Cannot run experiment ${name}: no such experiment; use ${names.join(", ")}`,
    );
    Deno.exitCode = 1;
  } else {
    await start((await scripts[name][1]()).default, args);
  }
}
