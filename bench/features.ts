/**
 * What keeping the frozen part's values is worth: whole runs with it and without, evaluations,
 * planning and compilation included.
 *
 * @module
 */

import { EMBEDDED_PROMPT, embeddedDataset } from "../lib/data/embedded/dataset.ts";
import type { Example } from "../lib/data/example.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { methods } from "../lib/peft/index.ts";
import { attachMethod } from "../lib/peft/method.ts";
import { EMBEDDED, openBase } from "../lib/sweep/base.ts";
import { trainSettings } from "../lib/train/settings.ts";
import { type Encoded, makeTask } from "../lib/train/task.ts";
import { train } from "../lib/train/trainer.ts";
import type { BenchOptions } from "./main.ts";
import type { Row } from "./report.ts";
import { median, spread } from "./statistics.ts";

/** Training sentences, of which each epoch's evaluation takes a tenth. */
const SENTENCES = 4000;
const EPOCHS = 10;
const ROUNDS = 3;

/**
 * Ten epochs with kept values beside one without and ten without, taking turns: `ratio` is that of
 * ten with to one without.
 */
export async function benchFeatures(
  gpu: Gpu,
  { filter, quick, print }: BenchOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of ["head", "adapter", "lora"]) {
    if (!name.includes(filter) || (quick && rows.length > 0)) continue;
    const runs = [
      { epochs: 1, keepFeatures: "never" },
      { epochs: EPOCHS, keepFeatures: "auto" },
      ...(quick ? [] : [{ epochs: EPOCHS, keepFeatures: "never" } as const]),
    ] as const;
    print(`features ${name}`);
    for (const keepFeatures of ["never", "auto"] as const) {
      await run(gpu, name, 2, keepFeatures, 64); // compiles
    }
    const seconds: number[][] = runs.map(() => []);
    let kept = 0;
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      for (const [i, { epochs, keepFeatures }] of runs.entries()) {
        print(`features ${name}, ${epochs} epochs, keep ${keepFeatures}`);
        const start = performance.now();
        kept = Math.max(kept, await run(gpu, name, epochs, keepFeatures));
        seconds[i].push((performance.now() - start) / 1000);
      }
    }
    const [one, ten, plain] = seconds;
    rows.push({
      method: name,
      sentences: SENTENCES,
      epochs: EPOCHS,
      "kept bytes": kept,
      "s, one epoch without": median(one),
      "s, all with": median(ten),
      ...plain && { "s, all without": median(plain) },
      spread: Math.max(...seconds.map(spread)),
      ratio: median(ten.map((value, i) => value / one[i])),
    });
  }
  return rows;
}

/** Trains on the embedded base; @returns bytes that were kept. */
async function run(
  gpu: Gpu,
  name: string,
  epochs: number,
  keepFeatures: "auto" | "never",
  count = SENTENCES,
): Promise<number> {
  const base = await openBase(EMBEDDED);
  const method = methods[name];
  const model = base.build(2, true);
  const attached = attachMethod(model, method, method.parse({}));
  const examples = sentences(SENTENCES * 1.1).map(({ text, label }): Encoded => (
    { ids: base.tokenizer.encode(EMBEDDED_PROMPT + text, 128), label }
  ));
  const { memory } = await train({
    ...{ gpu, model, attached, seed: 0, weights: await base.weights(2, true) },
    task: makeTask(model, base.tokenizer.padId, null),
    settings: trainSettings({ learningRate: 1e-3, epochs, batchSize: 32 }),
    train: examples.slice(0, count),
    validation: examples.slice(SENTENCES, SENTENCES + count / 10),
    execution: { recompute: "auto", memory: null, keepFeatures },
  });
  return memory.byRole.kept;
}

/** So many sentences of the embedded grammar, of as many seeds as it takes. */
function sentences(count: number): Example[] {
  const found: Example[] = [];
  for (let seed = 0; found.length < count; seed++) found.push(...embeddedDataset(seed).train);
  return found.slice(0, count);
}
