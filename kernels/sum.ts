import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** Sum over the last axis: y[o] = Σr x[o, r]; x: [outer, length] f32. One workgroup per row. */
export const sumRows: Kernel = kernel({
  name: "sum_rows",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: { outer: "u32", length: "u32" },
  tune: { wg: 64 },
  workgroups: ({ outer }) => outer,
  globals: ({ wg }) => reduction("sum", wg),
  body: ({ wg }) =>
    `  var total = 0.0;
  for (var r = lane; r < p.length; r += ${wg}u) { total += x[group * p.length + r]; }
  total = reduce_sum(total, lane);
  if (lane == 0u) { y[group] = total; }`,
});

/**
 * Sum over a middle axis: y[o, i] = Σr x[o, r, i]; x: [outer, length, inner] f32.
 * One invocation per output, so that neighbours read neighbours.
 */
export const sumColumns: Kernel = kernel({
  name: "sum_columns",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: { outer: "u32", length: "u32", inner: "u32" },
  tune: { wg: 64 },
  workgroups: ({ outer, inner }, { wg }) => Math.ceil(outer * inner / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i >= p.outer * p.inner) { return; }
  let base = (i / p.inner) * p.length * p.inner + i % p.inner;
  var total = 0.0;
  for (var r = 0u; r < p.length; r++) { total += x[base + r * p.inner]; }
  y[i] = total;`,
});
