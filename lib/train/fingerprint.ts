/**
 * The numerics fingerprint: what must be the same for results to be the same to the bit.
 *
 * @module
 */

import { Random } from "../data/random.ts";
import { sha256 } from "../formats/digest.ts";
import type { Gpu } from "../gpu/device.ts";
import { t5 } from "../models/t5.ts";
import { pretrain } from "./pretrain.ts";

/** Adapter, runtime, and a digest of what they compute. */
export interface Fingerprint {
  readonly adapter: string;
  readonly deno: string;
  /** First 16 hexadecimal digits of the SHA-256 of the probe's final weights. */
  readonly probe: string;
}

/**
 * Runs a fixed probe: three training steps of a small gated T5 on fixed random ids.
 *
 * Drivers do not tell their version, and a software adapter compiles for the CPU under it, so the
 * digest of the probe's bits stands for both.
 */
export async function numericsFingerprint(gpu: Gpu): Promise<Fingerprint> {
  const model = t5({
    vocabulary: 96,
    width: 48,
    headSize: 12,
    inner: 80,
    encoderLayers: 1,
    decoderLayers: 1,
    heads: 4,
    buckets: 32,
    maxDistance: 128,
    epsilon: 1e-6,
    activation: "gelu_new",
    gated: true,
    tied: false,
    initializerFactor: 1,
    startId: 0,
    padId: 0,
    eosId: 1,
  });
  const settings = {
    seed: 0,
    steps: 3,
    batchSize: 6,
    learningRate: 1e-2,
    warmupSteps: 0,
    weightDecay: 0.01,
    inputLength: 19,
    targetLength: 7,
  };
  const { values } = await pretrain({
    gpu,
    model,
    settings,
    batch: (step) => {
      const random = new Random(0, "probe", step);
      const ids = (length: number) => Array.from({ length }, () => 2 + random.below(94));
      return Array.from(
        { length: 6 },
        (_, row) => ({ input: ids(9 + 2 * row), target: ids(2 + row) }),
      );
    },
  });
  const names = [...values.keys()].sort();
  const digests = names.map((name) => sha256(new Uint8Array(values.get(name)!.buffer)));
  return {
    adapter: gpu.adapter.description,
    deno: Deno.version.deno,
    probe: sha256(digests.join("\n")).slice(0, 16),
  };
}

/** Whether two fingerprints promise the same bits. */
export function sameFingerprint(a: Fingerprint, b: Fingerprint): boolean {
  return a.adapter === b.adapter && a.deno === b.deno && a.probe === b.probe;
}
