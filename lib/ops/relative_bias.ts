import { relativeBiasGradKernel, relativeBiasKernel } from "../../kernels/relative_bias.ts";
import { constant } from "../graph/leaves.ts";
import { type Node, op } from "../graph/node.ts";
import { type Dim, elements, formatShape } from "../graph/shape.ts";

/** Which places a relative bias is for. */
export interface RelativeBiasOptions {
  /** Number of queries. */
  readonly queries: Dim;
  /** Number of keys. */
  readonly keys: Dim;
  /** Whether keys after the query have buckets of their own (an encoder), or share the nearest. */
  readonly bidirectional: boolean;
  /** Distance from which on all keys share the last bucket. */
  readonly maxDistance: number;
  /** Position of the first key, where the first query is at 0; 0 unless given. */
  readonly keyOffset?: number;
}

/**
 * T5's bucket of a distance: one per distance up to half of them, the rest in logarithmic steps
 * (Raffel et al., 2020, §2.1).
 *
 * @param distance Position of the key − position of the query.
 * @param buckets Number of buckets; bidirectional ones are half for each side.
 * @throws RangeError where there are too few buckets, or maxDistance does not exceed the exact ones.
 */
export function relativeBucket(
  distance: number,
  bidirectional: boolean,
  buckets: number,
  maxDistance: number,
): number {
  const side = bidirectional ? Math.floor(buckets / 2) : buckets;
  const exact = Math.floor(side / 2);
  if (!(exact >= 1) || !(maxDistance > exact)) {
    throw new RangeError(
      `Cannot put distances up to ${maxDistance} into ${buckets} buckets: there must be at least ${
        bidirectional ? 4 : 2
      } buckets, and distances above ${exact}`,
    );
  }
  const first = bidirectional && distance > 0 ? side : 0;
  const far = bidirectional ? Math.abs(distance) : Math.max(-distance, 0);
  if (far < exact) return first + far;
  // Rounded as f32, in which the published models compute it: it decides distances at the steps.
  const f = Math.fround;
  const steps = f(f(Math.log(f(far / exact))) / f(Math.log(maxDistance / exact)));
  return first + Math.min(exact + Math.floor(f(steps * (side - exact))), side - 1);
}

const relativeBiasOp = op<null>({
  name: "relative_bias",
  shape: ([table, bucket]) => [table.shape[1], ...bucket.shape],
  run: (y, _, { shape }) => {
    const [table, bucket] = y.inputs;
    const [heads, queries, keys] = shape(y);
    return [{
      kernel: relativeBiasKernel,
      bind: { table, bucket, y },
      params: { heads, cells: queries * keys },
    }];
  },
  backward: ({ inputs: [table, bucket] }, g) => [
    relativeBiasGradOp([g, bucket], { buckets: table.shape[0] as number }),
    null,
  ],
  onnx: (graph, [table, bucket]) => {
    const places = graph.node("Gather", [table, bucket], { axis: 0 }); // [queries, keys, H]
    return graph.node("Transpose", [places], { perm: [2, 0, 1] });
  },
});

const relativeBiasGradOp = op<{ buckets: number }>({
  name: "relative_bias_grad",
  flops: ({ inputs: [g] }, _, shape) => elements(shape(g)),
  shape: ([g], { buckets }) => [buckets, g.shape[0]],
  run: (dtable, { buckets }, { shape }) => {
    const [g, bucket] = dtable.inputs;
    const [heads, queries, keys] = shape(g);
    return [{
      kernel: relativeBiasGradKernel,
      bind: { g, bucket, dtable },
      params: { buckets, heads, cells: queries * keys },
    }];
  },
});

/**
 * T5's relative position bias: y[h, t, s] = table[bucket of s + keyOffset − t, h].
 *
 * @param table [buckets, H], of numbers.
 * @returns [H, queries, keys].
 * @throws TypeError where the table is not a matrix of known size; RangeError as
 *   {@linkcode relativeBucket}.
 */
export function relativeBias(
  table: Node,
  { queries, keys, bidirectional, maxDistance, keyOffset = 0 }: RelativeBiasOptions,
): Node {
  const [buckets, heads] = table.shape;
  if (table.shape.length !== 2 || typeof buckets !== "number" || typeof heads !== "number") {
    throw new TypeError(
      `Cannot take a relative bias from ${formatShape(table.shape)}: it must be [buckets, heads]`,
    );
  }
  relativeBucket(0, bidirectional, buckets, maxDistance);
  const bucketOf = (distance: number) =>
    relativeBucket(distance, bidirectional, buckets, maxDistance);
  const bucket = constant(
    [queries, keys],
    "u32",
    ([rows, columns]) =>
      Uint32Array.from(
        { length: rows * columns },
        (_, i) => bucketOf(i % columns + keyOffset - Math.floor(i / columns)),
      ),
    // Buckets of all distances that have different ones, looked up.
    (graph) => {
      const rows = graph.node("Unsqueeze", [graph.range(0, queries), graph.ints([1])]);
      const distance = graph.node("Sub", [graph.range(keyOffset, keys), rows]);
      const [least, most] = [graph.ints(-maxDistance), graph.ints(maxDistance)];
      const near = graph.node("Clip", [distance, least, most]);
      const table = Array.from(
        { length: 2 * maxDistance + 1 },
        (_, i) => bucketOf(i - maxDistance),
      );
      return graph.node("Gather", [graph.ints(table), graph.node("Add", [near, most])], {
        axis: 0,
      });
    },
  );
  return relativeBiasOp([table, bucket], null);
}
