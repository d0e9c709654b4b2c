/**
 * Which runs may share a program.
 *
 * @module
 */

import { canonicalJson } from "../formats/digest.ts";
import type { Precision } from "../graph/precision.ts";
import { unpackable } from "../peft/pack.ts";
import type { Method, MethodOptions } from "../peft/method.ts";
import type { TrainSettings } from "./settings.ts";

/** What decides whether runs of one base, data, seed and task may share a program. */
export interface Packable {
  readonly method: Method;
  /** As `Method.parse` returns them. */
  readonly options: MethodOptions;
  readonly settings: TrainSettings;
  readonly seed: number;
  readonly precision?: Precision;
  /** Where the run goes on from; from the start unless given. */
  readonly resume?: { readonly step: number } | null;
}

/** Settings that the update alone, or the host alone, knows: they may differ. */
const OWN = new Set<keyof TrainSettings>([
  ...["optimizer", "learningRate", "scaleParameter", "betas", "eps"] as const,
  ...["weightDecay", "decay", "clipNorm", "schedule", "warmup"] as const,
  ...["patience", "metric", "keep"] as const,
]);

/** Methods that change the length of a sequence, by the option that says by how much. */
const LENGTHS: Readonly<Record<string, string>> = { soft_prompt: "tokens", prefix: "tokens" };

/**
 * What runs must agree in to share a program: equal texts for those that may; null for a run that is
 * better alone.
 *
 * Runs of one key must also be of the same base, task, data and sample of it. They share settings but
 * for those of the update (optimizer, learning rate, betas, ε, decay, clipping, schedule, warm-up) and
 * of the host (patience, metric, what is kept). Methods may stand side by side, with any options; but
 *
 * - what trains all of the base, or its biases, has nothing to share;
 * - what trains nothing costs one evaluation, and would be carried through every step;
 * - what trains the head alone has nothing to compute behind it: with each other, not with others;
 * - prompts and prefixes change the sequence: with their like, of one length;
 * - in f16, what is rounded where depends on who reads it: with the same method, of equal options but
 *   for numbers;
 * - a run that goes on must stand at the same step.
 */
export function packKey(
  { method, options, settings, seed, precision = "f32", resume }: Packable,
): string | null {
  const { name, trains } = method;
  if (unpackable(method) !== null || trains === "nothing") return null;
  const shared = Object.entries(settings).filter(([key]) => !OWN.has(key as keyof TrainSettings));
  const length = LENGTHS[name];
  return canonicalJson({
    settings: Object.fromEntries(shared),
    seed,
    precision,
    step: resume?.step ?? 0,
    kind: length !== undefined
      ? [name, options[length] ?? null, options.semantics ?? null]
      : name === "head"
      ? [name]
      : [],
    rounding: precision === "f32" ? null : [name, rounding(options)],
  });
}

/** Options but for numbers, of which only whether they are 0 changes a graph. */
function rounding(options: MethodOptions): MethodOptions {
  return Object.fromEntries(
    Object.entries(options).map((
      [key, value],
    ) => [key, typeof value === "number" ? value === 0 : value]),
  );
}

/** Why runs cannot share a program, in words; null where they can. */
export function packDifference(runs: readonly Packable[]): string | null {
  const keys = runs.map(packKey);
  const alone = keys.indexOf(null);
  if (alone >= 0) return `${runs[alone].method.name} is better alone`;
  const [first] = keys;
  const other = keys.findIndex((key) => key !== first);
  if (other < 0) return null;
  return `${first} differs from ${keys[other]}`;
}
