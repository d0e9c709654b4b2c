/**
 * Makes the embedded base: `deno task pretrain [--steps N] [--seed N] [--out FILE]`.
 *
 * Without `--out` it replaces `lib/data/embedded/weights.ts`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { pretrainingBatches } from "../lib/data/corpus/pretraining_batches.ts";
import { embeddedConfig, embeddedTokenizer } from "../lib/data/embedded/base.ts";
import { EMBEDDED_RECIPE } from "../lib/data/embedded/recipe.ts";
import { writeFileAtomic } from "../lib/formats/atomic.ts";
import { sha256 } from "../lib/formats/digest.ts";
import { encodeSafetensors } from "../lib/formats/safetensors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { buildModel } from "../lib/models/index.ts";
import { NUMERICS_VERSION } from "../lib/sweep/cell.ts";
import { numericsFingerprint } from "../lib/train/fingerprint.ts";
import { pretrain } from "../lib/train/pretrain.ts";

const TARGET = "lib/data/embedded/weights.ts";

/** Losses that are written down, so that a test can redo the first steps. */
const KEPT_LOSSES = 20;

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["steps", "seed", "out"] });
  const unknown = [
    ...flags._,
    ...Object.keys(flags).filter((key) => !["_", "steps", "seed", "out"].includes(key)),
  ];
  if (unknown.length > 0) {
    console.error(`Cannot use ${unknown.join(", ")}: use [--steps N] [--seed N] [--out FILE]`);
    return 2;
  }
  const whole = (name: "steps" | "seed", least: number) => {
    const value = flags[name] === undefined ? EMBEDDED_RECIPE[name] : Number(flags[name]);
    if (!Number.isSafeInteger(value) || value < least) {
      throw new RangeError(
        `Cannot use --${name} ${flags[name]}: a whole number from ${least} on is needed`,
      );
    }
    return value;
  };
  const settings = { ...EMBEDDED_RECIPE, steps: whole("steps", 1), seed: whole("seed", 0) };
  const tokenizer = embeddedTokenizer();
  const model = buildModel(embeddedConfig(tokenizer), { classes: 2, head: false });
  const gpu = await openGpu();
  try {
    const fingerprint = await numericsFingerprint(gpu);
    const start = performance.now();
    const { values, losses } = await pretrain({
      gpu,
      model,
      settings,
      batch: pretrainingBatches(tokenizer, settings),
      onLosses: (fresh, done) => {
        const mean = fresh.reduce((a, b) => a + b, 0) / fresh.length;
        const seconds = (performance.now() - start) / 1000;
        console.log(
          `step ${done}/${settings.steps}  loss ${mean.toFixed(4)}  ${
            (done / seconds).toFixed(1)
          } steps/s`,
        );
      },
    });
    const tensors = new Map(
      [...values].map((
        [name, data],
      ) => [name, { shape: model.scope.parameters.get(name)!.shape.slice(), data }]),
    );
    const pieces = encodeSafetensors(tensors);
    const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
    const digest = sha256(bytes);
    const record = {
      command: "deno task pretrain",
      ...settings,
      digest,
      fingerprint,
      numericsVersion: NUMERICS_VERSION,
      firstLosses: losses.slice(0, KEPT_LOSSES),
    };
    const out = flags.out ?? TARGET;
    await writeFileAtomic(out, source(bytes, record));
    console.log(`Wrote ${out}: ${bytes.length} bytes of weights, SHA-256 ${digest}`);
    return 0;
  } finally {
    gpu.destroy();
  }
}

/** The weights as a module, so that they travel with the package. */
function source(bytes: Uint8Array, record: unknown): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return `// Made by experiments/pretrain.ts; not to be edited.
// deno-fmt-ignore-file

/** Command, settings, digest, numerics fingerprint and version, and first losses of the pretraining. */
export const MADE_BY: {
  readonly digest: string;
  readonly fingerprint: { readonly adapter: string; readonly deno: string; readonly probe: string };
  readonly numericsVersion: number;
  readonly firstLosses: readonly number[];
} & Record<string, unknown> = ${JSON.stringify(record, null, 2)};

/** The weights: a safetensors file in base64. */
export const WEIGHTS: string =
  "${btoa(text)}";
`;
}

if (import.meta.main) Deno.exit(await main());
