import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

const rows = (into: boolean): Kernel =>
  kernel({
    name: into ? "sum_rows_into" : "sum_rows",
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
  if (lane == 0u) { y[group] = ${into ? "y[group] + total" : "total"}; }`,
  });

const columns = (into: boolean): Kernel =>
  kernel({
    name: into ? "sum_columns_into" : "sum_columns",
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
  y[i] = ${into ? "y[i] + total" : "total"};`,
  });

/**
 * Sum over the last axis: y[o] = Σr x[o, r]; x: [outer, length] f32. One workgroup per row. `into`
 * adds it to what is there.
 */
export const sumRows = { plain: rows(false), into: rows(true) };

/**
 * Sum over a middle axis: y[o, i] = Σr x[o, r, i]; x: [outer, length, inner] f32.
 * One invocation per output, so that neighbours read neighbours. `into` adds it to what is there.
 */
export const sumColumns = { plain: columns(false), into: columns(true) };
