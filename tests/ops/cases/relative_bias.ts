import type { OpCase } from "../../op_cases.ts";
import { relativeBias, relativeBucket } from "../../../lib/ops/relative_bias.ts";
import { symbol } from "../../../lib/graph/shape.ts";

interface Setting {
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly buckets: number;
  readonly maxDistance: number;
  readonly bidirectional: boolean;
  readonly keyOffset?: number;
}

const settings: Setting[] = [
  { T: 1, S: 1, H: 1, buckets: 8, maxDistance: 16, bidirectional: true },
  { T: 5, S: 7, H: 3, buckets: 8, maxDistance: 16, bidirectional: true },
  { T: 8, S: 8, H: 2, buckets: 8, maxDistance: 20, bidirectional: false },
  { T: 9, S: 71, H: 2, buckets: 32, maxDistance: 128, bidirectional: true },
  { T: 6, S: 16, H: 2, buckets: 32, maxDistance: 128, bidirectional: false, keyOffset: -10 },
];

export const cases: readonly OpCase[] = settings.map(
  ({ T, S, H, buckets, maxDistance, bidirectional, keyOffset }) => ({
    name: `relative_bias [${[H, T, S]}] ${buckets} ${bidirectional} ${keyOffset ?? 0}`,
    sizes: { T, S },
    inputs: [{ shape: [buckets, H] }],
    build: ([table]) =>
      relativeBias(table, {
        queries: symbol("T"),
        keys: symbol("S"),
        bidirectional,
        maxDistance,
        keyOffset,
      }),
    reference: ([table]) =>
      Array.from({ length: H * T * S }, (_, i) => {
        const [h, t, s] = [Math.floor(i / (T * S)), Math.floor(i / S) % T, i % S];
        const distance = s + (keyOffset ?? 0) - t;
        return table[relativeBucket(distance, bidirectional, buckets, maxDistance) * H + h];
      }),
  }),
);
