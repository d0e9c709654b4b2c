import type { OpCase } from "../../op_cases.ts";
import { dropout } from "../../../lib/ops/dropout.ts";

/** Numbers that an element's random word is drawn from. */
export interface DropoutKey {
  readonly seed: number;
  readonly site: string;
  readonly step: number;
  readonly example: number;
  /** Coordinates inside the example, after leading zeros for axes that it lacks. */
  readonly at: readonly [number, number, number];
}

type Four = [number, number, number, number];

function pcg4d(key: Four): Four {
  const v = Uint32Array.from(key, (k) => Math.imul(k, 1664525) + 1013904223);
  const mix = () => {
    for (const [to, a, b] of [[0, 1, 3], [1, 2, 0], [2, 0, 1], [3, 1, 2]]) {
      v[to] += Math.imul(v[a], v[b]);
    }
  };
  mix();
  v.forEach((x, i) => v[i] = x ^ (x >>> 16));
  mix();
  return [...v] as Four;
}

/** The random word of an element, by the published hash. */
export function dropoutWord({ seed, site, step, example, at }: DropoutKey): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(site)) hash = Math.imul(hash ^ byte, 0x01000193);
  const [a, b, c, d] = pcg4d([seed, hash, step, example]);
  return pcg4d([a ^ at[0], b ^ at[1], c ^ at[2], d])[3];
}

function masked(shape: readonly number[], probability: number): OpCase {
  const [batch, ...rest] = shape;
  const [d1, d2, d3] = [1, 1, ...rest].slice(-3);
  const examples = Array.from({ length: batch }, (_, b) => b * 4001 + 17);
  return {
    name: `dropout ${probability} of [${shape}]`,
    inputs: [
      { shape },
      { shape: [batch], dtype: "u32", values: examples },
      { shape: [1], dtype: "u32", values: [12] },
      { shape: [1], dtype: "u32", values: [4000000000] },
    ],
    build: ([x, examples, step, seed]) =>
      dropout(x, { probability, site: "encoder.block.0", examples, step, seed }),
    reference: ([x, examples, [step], [seed]]) =>
      x.map((value, e) => {
        const k = e % d3;
        const [i, j] = [Math.floor(e / (d3 * d2)) % d1, Math.floor(e / d3) % d2];
        const example = examples[Math.floor(e / (d3 * d2 * d1))];
        const word = dropoutWord({ seed, site: "encoder.block.0", step, example, at: [i, j, k] });
        return word >= probability * 2 ** 32 ? value / (1 - probability) : 0;
      }),
  };
}

export const cases: readonly OpCase[] = [
  masked([65, 3], 0.5),
  masked([3, 7, 13], 0.1),
  masked([2, 3, 5, 7], 0.75),
];
