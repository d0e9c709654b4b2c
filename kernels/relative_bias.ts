import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** y[h, c] = table[bucket[c], h]; table: [buckets, heads], bucket: [cells] u32, y: [heads, cells]. */
export const relativeBiasKernel: Kernel = kernel({
  name: "relative_bias",
  reads: { table: "f32", bucket: "u32" },
  writes: { y: "f32" },
  params: { heads: "u32", cells: "u32" },
  tune: { wg: 64 },
  workgroups: ({ heads, cells }, { wg }) => Math.ceil(heads * cells / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i >= p.heads * p.cells) { return; }
  y[i] = table[bucket[i % p.cells] * p.heads + i / p.cells];`,
});

/**
 * dtable[k, h] = Σ g[h, c] over the cells c of bucket k; one workgroup per (k, h), so that each
 * sum has one owner and one order.
 */
export const relativeBiasGradKernel: Kernel = kernel({
  name: "relative_bias_grad",
  reads: { g: "f32", bucket: "u32" },
  writes: { dtable: "f32" },
  params: { buckets: "u32", heads: "u32", cells: "u32" },
  tune: { wg: 64 },
  workgroups: ({ buckets, heads }) => buckets * heads,
  globals: ({ wg }) => reduction("sum", wg),
  body: ({ wg }) =>
    `  let mine = group / p.heads;
  let base = (group % p.heads) * p.cells;
  var total = 0.0;
  for (var c = lane; c < p.cells; c += ${wg}u) {
    if (bucket[c] == mine) { total += g[base + c]; }
  }
  total = reduce_sum(total, lane);
  if (lane == 0u) { dtable[group] = total; }`,
});
