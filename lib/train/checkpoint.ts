/**
 * A checkpoint: everything that a run needs to go on to the same bits as if it had never stopped.
 *
 * The order of the data and dropout are functions of seed, epoch and step, so the position stands for
 * them. Gradients are zero between steps. One safetensors file holds all of it, with a digest that
 * tells a torn or altered file.
 *
 * @module
 */

import { canonicalJson, sha256 } from "../formats/digest.ts";
import { encodeSafetensors, readSafetensors, type Tensor } from "../formats/safetensors.ts";
import type { EpochOutcome, LossScale } from "./trainer.ts";

/** Where a run stands between two steps. */
export interface Checkpoint {
  /** Optimizer steps taken. */
  readonly step: number;
  /** Epochs that are complete, their validation scores included. */
  readonly epoch: number;
  /** Batches that are done of the epoch after these. */
  readonly batch: number;
  /** Seconds spent in training steps so far. */
  readonly trainSeconds: number;
  /** Seconds of the whole run so far. */
  readonly seconds: number;
  /** What the complete epochs led to. */
  readonly outcomes: readonly EpochOutcome[];
  /** Losses of the running epoch's steps. */
  readonly losses: readonly number[];
  /** Every variable that training changes, by name, in the bits that the device has. */
  readonly variables: ReadonlyMap<string, Tensor>;
  /** Weights of the epoch that is kept so far; null where none is. */
  readonly kept: ReadonlyMap<string, Tensor> | null;
  /** Kernels that were named in place of the rule's, on which it goes on; see `lib/gpu/tuning.ts`. */
  readonly kernels?: Readonly<Record<string, string>>;
}

/** What a checkpoint must be of so that a run goes on from it to the same bits; text by name. */
export type CheckpointIdentity = Readonly<Record<string, string>>;

/** How often a run is saved: every so many optimizer steps, or seconds. */
export type CheckpointInterval = { readonly steps: number } | { readonly seconds: number };

/** Raised whenever the format changes. */
const FORMAT = "1";

/** What stands in the file's metadata; all else are tensors. */
interface State extends Omit<Checkpoint, "outcomes" | "losses" | "variables" | "kept"> {
  readonly identity: CheckpointIdentity;
  readonly lossScales: readonly (LossScale | null)[];
  readonly keeps: boolean;
}

/** The bytes of a checkpoint, as a safetensors file. */
export function encodeCheckpoint(
  checkpoint: Checkpoint,
  identity: CheckpointIdentity,
): Uint8Array<ArrayBuffer>[] {
  const { step, epoch, batch, trainSeconds, seconds, outcomes, losses, kept, kernels } = checkpoint;
  const tensors = new Map<string, Tensor>([["losses/now", vector(losses)]]);
  for (const { epoch, losses, scores } of outcomes) {
    tensors.set(`losses/${epoch}`, vector(losses));
    const shape = [scores.length, scores[0]?.length ?? 0];
    tensors.set(`scores/${epoch}`, { shape, data: Float64Array.from(scores.flat()) });
  }
  for (const [name, tensor] of checkpoint.variables) tensors.set(`variables/${name}`, tensor);
  for (const [name, tensor] of kept ?? []) tensors.set(`kept/${name}`, tensor);
  const state: State = {
    identity: { ...identity, format: FORMAT },
    ...{ step, epoch, batch, trainSeconds, seconds, kernels },
    lossScales: outcomes.map(({ lossScale }) => lossScale ?? null),
    keeps: kept !== null,
  };
  const text = JSON.stringify(state);
  const digests = [...tensors].map(([name, { shape, data }]) => [name, shape, bytesOf(data)]);
  return encodeSafetensors(tensors, { state: text, digest: digestOf(text, digests as Entry[]) });
}

/**
 * Reads a checkpoint.
 *
 * @returns Its identity, with `format` as `"1"`, and what it holds.
 * @throws Error, RangeError or TypeError where the file is torn, altered or no checkpoint.
 */
export async function readCheckpoint(
  path: string,
): Promise<{ identity: CheckpointIdentity; checkpoint: Checkpoint }> {
  const file = await readSafetensors(path);
  const { state: text, digest } = file.metadata;
  const raw = new Map<string, { shape: number[]; dtype: string; bytes: Uint8Array<ArrayBuffer> }>();
  for (const name of file.names()) {
    const { shape, dtype } = file.info(name);
    raw.set(name, { shape: [...shape], dtype, bytes: await file.readRaw(name) });
  }
  const entries = [...raw].map(([name, { shape, bytes }]): Entry => [name, shape, bytes]);
  if (text === undefined || digestOf(text, entries) !== digest) {
    throw new RangeError(
      `Cannot read ${path}: its digest does not fit what it holds; it is damaged`,
    );
  }
  const { identity, lossScales, keeps, ...position } = JSON.parse(text) as State;
  const tensor = (name: string): Tensor => {
    const { shape, dtype, bytes: { buffer } } = raw.get(name)!;
    const data = dtype === "F64"
      ? new Float64Array(buffer)
      : dtype === "U32"
      ? new Uint32Array(buffer)
      : new Float32Array(buffer);
    return { shape, data };
  };
  const numbers = (name: string) => [...tensor(name).data as Float64Array];
  const group = (prefix: string) =>
    new Map(
      [...raw.keys()].filter((name) => name.startsWith(prefix))
        .map((name) => [name.slice(prefix.length), tensor(name)]),
    );
  return {
    identity,
    checkpoint: {
      ...position,
      outcomes: lossScales.map((lossScale, i) => ({
        epoch: i + 1,
        losses: numbers(`losses/${i + 1}`),
        scores: rows(tensor(`scores/${i + 1}`)),
        ...lossScale && { lossScale },
      })),
      losses: numbers("losses/now"),
      variables: group("variables/"),
      kept: keeps ? group("kept/") : null,
    },
  };
}

/** What differs between two identities, in words; empty where nothing does. */
export function identityDifferences(
  found: CheckpointIdentity,
  wanted: CheckpointIdentity,
): string[] {
  const expected: CheckpointIdentity = { ...wanted, format: FORMAT };
  const names = [...new Set([...Object.keys(found), ...Object.keys(expected)])].sort();
  return names.filter((name) => found[name] !== expected[name]).map((name) =>
    `${name} ${found[name] ?? "none"} instead of ${expected[name] ?? "none"}`
  );
}

/**
 * Reads how often to save: `500` (steps), `30s`, `5m`, `1h`, or `none`.
 *
 * @throws RangeError where it is something else, or not above zero.
 */
export function parseCheckpointInterval(text: string): CheckpointInterval | null {
  if (text === "none") return null;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text.trim()) ?? [];
  const value = Number(number);
  if (!(value > 0) || (unit === undefined && !Number.isSafeInteger(value))) {
    throw new RangeError(
      `Cannot read ${
        JSON.stringify(text)
      } as how often to save: it must be a number of steps, as ` +
        "in 500, a time, as in 30s, 5m or 1h, or none",
    );
  }
  if (unit === undefined) return { steps: value };
  return { seconds: value * { s: 1, m: 60, h: 3600 }[unit as "s" | "m" | "h"] };
}

type Entry = [name: string, shape: readonly number[], bytes: Uint8Array];

function digestOf(state: string, entries: readonly Entry[]): string {
  const sorted = entries.toSorted(([a], [b]) => a < b ? -1 : 1);
  return sha256(
    canonicalJson([state, ...sorted.map(([name, shape, bytes]) => [name, shape, sha256(bytes)])]),
  );
}

function vector(values: readonly number[]): Tensor {
  return { shape: [values.length], data: Float64Array.from(values) };
}

function rows({ shape: [count, width], data }: Tensor): number[][] {
  return Array.from(
    { length: count },
    (_, i) => [...(data as Float64Array).subarray(i * width, (i + 1) * width)],
  );
}

function bytesOf({ buffer, byteOffset, byteLength }: Tensor["data"]): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
