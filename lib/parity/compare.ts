/**
 * Comparing tensors with expected ones, under the tolerances of the golden data.
 *
 * @module
 */

import type { Measured } from "./measure.ts";

/** The outcome of one expected tensor, or of all final weights together. */
export interface Row {
  readonly name: string;
  /** Largest absolute error; null where nothing was compared. */
  readonly absolute: number | null;
  /** That, relative to the largest expected entry. */
  readonly relative: number | null;
  /** The bound on the absolute error, or what else decides. */
  readonly bound: string;
  /** Share of the bound that is used; above 1 or NaN is out of tolerance. */
  readonly used: number;
  readonly ok: boolean;
  /** Why nothing was compared. */
  readonly problem?: string;
  /** What of the tensor was left out on purpose, and why. */
  readonly leftOut?: string;
}

/** Final weights: at least this share of all within the bound, and every one within the limit. */
const FINAL = { share: 0.999, bound: 2e-5, limit: 1e-2 };

/**
 * Bound on a tensor's absolute error.
 *
 * Adam divides by the gradient's own size, so where a gradient is rounding noise the final weight is
 * noise too: final weights have a wide limit each, and a narrow one for nearly all.
 *
 * @param largest Largest absolute value of the expected tensor.
 * @returns Undefined where the name is not one of the golden layout.
 */
export function boundOf(name: string, largest: number): number | undefined {
  if (/^((encoder_|decoder_)?hidden|(encoder_|decoder_|cross_)?attention)\.\d+$/.test(name)) {
    return 2e-5;
  }
  if (name === "logits" || name === "loss") return 2e-5;
  if (name === "train.losses") return 1e-4;
  if (name === "train.final_logits") return 2e-3;
  if (name.startsWith("grad.")) return 1e-6 + 1e-4 * largest;
  if (name.startsWith("final.")) return FINAL.limit;
  return undefined;
}

/** Compares measured tensors with expected ones: the forward pass, gradients, then training. */
export function compareAll(
  expected: ReadonlyMap<string, Measured>,
  actual: ReadonlyMap<string, Measured>,
): Row[] {
  const rows: Row[] = [];
  const close = { final: 0, within: 0 };
  for (const [name, tensor] of inOrder(expected)) {
    const found = actual.get(name);
    const row = compare(name, tensor, found);
    rows.push(row);
    if (!name.startsWith("final.")) continue;
    const noise = keyBias(name, tensor.data.length);
    close.final += tensor.data.length - (noise?.count ?? 0);
    if (row.problem !== undefined) continue;
    tensor.data.forEach((value, i) => {
      if (noise?.has(i)) return;
      if (Math.abs(found!.data[i] - value) <= FINAL.bound) close.within++;
    });
  }
  for (const name of actual.keys()) {
    // A parameter that trains here and not there: the rest cannot be right.
    if (name.startsWith("grad.") && trains(expected) && !expected.has(name)) {
      rows.push(notCompared(name, "it trains, but no gradient of it is expected"));
    }
  }
  if (close.final > 0) rows.push(finalShare(close.within, close.final));
  return rows;
}

function inOrder(expected: ReadonlyMap<string, Measured>): [string, Measured][] {
  const place = (name: string) => ["grad", "train", "final"].indexOf(name.split(".")[0]);
  return [...expected].sort(([a], [b]) => place(a) - place(b));
}

function trains(expected: ReadonlyMap<string, Measured>): boolean {
  return [...expected.keys()].some((name) => /^(grad|train|final)\./.test(name));
}

function compare(name: string, expected: Measured, actual: Measured | undefined): Row {
  const largest = expected.data.reduce((most, value) => larger(most, Math.abs(value)), 0);
  const bound = boundOf(name, largest);
  if (bound === undefined) return notCompared(name, "not a name of the golden layout");
  if (actual === undefined) return notCompared(name, "this model and method have no such tensor");
  const [own, other] = [actual.shape, expected.shape].map((shape) => `[${shape}]`);
  if (own !== other) return notCompared(name, `its shape is ${other}, here ${own}`);
  const noise = keyBias(name, expected.data.length);
  const leftOut = noise?.text;
  if (noise?.count === expected.data.length) {
    return { name, absolute: null, relative: null, bound: "", used: 0, ok: true, leftOut };
  }
  const absolute = expected.data.reduce(
    (most, value, i) => noise?.has(i) ? most : larger(most, Math.abs(actual.data[i] - value)),
    0,
  );
  return {
    name,
    absolute,
    relative: absolute === 0 ? 0 : absolute / largest,
    bound: bound.toExponential(1),
    used: absolute / bound,
    ok: absolute <= bound,
    leftOut,
  };
}

/** Entries of a tensor that are not compared. */
interface LeftOut {
  readonly text: string;
  readonly count: number;
  readonly has: (index: number) => boolean;
}

/**
 * The key biases among some final weights: BERT's `key.bias`, the middle third of GPT-2's
 * `c_attn.bias`. A key bias adds the same number to all scores of a query, which softmax takes out
 * again, so its true gradient is 0 and Adam moves it by the rounding's sign alone. Their gradients
 * are compared like any other.
 */
function keyBias(name: string, length: number): LeftOut | null {
  if (!name.startsWith("final.")) return null;
  const why = "its true gradient is 0";
  if (/\.attention\.self\.key\.bias$/.test(name)) {
    return { text: `the key bias, as ${why}`, count: length, has: () => true };
  }
  if (!/\.attn\.c_attn\.bias$/.test(name)) return null;
  const third = length / 3;
  return {
    text: `the middle third, the key bias, as ${why}`,
    count: third,
    has: (i) => i >= third && i < 2 * third,
  };
}

/** The larger of two; NaN where one is. */
function larger(a: number, b: number): number {
  return Math.max(a, b);
}

function finalShare(within: number, total: number): Row {
  const off = 1 - within / total;
  const percent = Math.floor(within / total * 100_000) / 1000;
  return {
    name: `all final.*: ${percent} % within ${FINAL.bound.toExponential(1)}`,
    absolute: null,
    relative: null,
    bound: `${FINAL.share * 100} %`,
    used: off / (1 - FINAL.share),
    ok: within >= FINAL.share * total,
  };
}

function notCompared(name: string, problem: string): Row {
  return { name, absolute: null, relative: null, bound: "", used: NaN, ok: false, problem };
}
