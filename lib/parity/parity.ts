/**
 * Parity: one golden folder, checked.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { compareAll, type Row } from "./compare.ts";
import { type Golden, openGolden } from "./golden.ts";
import { measure, type Measured } from "./measure.ts";

/** Steps, learning rate and decay of the golden training runs. */
const STEPS = 5;
const LEARNING_RATE = 1e-3;
const WEIGHT_DECAY = 0.01;

/** What the check of a folder came to. */
export interface ParityResult {
  readonly dir: string;
  readonly family: string;
  readonly label: string;
  readonly counts: { readonly total: number; readonly trainable: number };
  readonly rows: readonly Row[];
  /** Whether every expected tensor was compared and is within its bound. */
  readonly ok: boolean;
}

/**
 * Runs a golden folder's batch through this project's model and compares every expected tensor.
 *
 * @throws Error, TypeError or RangeError as {@linkcode openGolden} does.
 */
export async function checkParity(gpu: Gpu, dir: string): Promise<ParityResult> {
  const golden = await openGolden(dir);
  const actual = await measureGolden(gpu, golden);
  const expected = new Map<string, Measured>();
  for (const name of golden.expected.names()) {
    const { shape } = golden.expected.info(name);
    expected.set(name, { shape, data: await golden.expected.read(name) });
  }
  if (expected.size === 0) throw new Error(`Cannot check ${dir}: expected.safetensors is empty`);
  const rows = compareAll(expected, actual);
  const { label, model: { family }, attached: { counts } } = golden;
  return { dir, family, label, counts, rows, ok: rows.every(({ ok }) => ok) };
}

/** Everything that a golden folder may expect, by its names there. */
async function measureGolden(
  gpu: Gpu,
  { model, attached, values, batch, foreignName }: Golden,
): Promise<Map<string, Measured>> {
  const found = await measure({
    gpu,
    model,
    attached,
    values,
    batch,
    steps: STEPS,
    learningRate: LEARNING_RATE,
    weightDecay: WEIGHT_DECAY,
    wanted: attached.trainable.map(({ name }) => name),
  });
  const losses = Float32Array.of(...found.losses, found.final.get("loss")!.data[0]);
  const actual = new Map(found.outputs)
    .set("train.losses", { shape: [losses.length], data: losses })
    .set("train.final_logits", found.final.get("logits")!);
  for (const { name, shape } of attached.trainable) {
    const foreign = foreignName(name);
    actual.set(`grad.${foreign}`, found.gradients.get(name)!);
    actual.set(`final.${foreign}`, { shape, data: found.parameters.get(name)! });
  }
  return actual;
}
