import { type Kernel, kernel } from "./kernel.ts";

/**
 * Rows by id: y[r, c] = table[ids[r] − start, c] for the ids in [start, start + rows), others are
 * left to the launches of other shards.
 *
 * table: [rows, width] f32 (rows `start` and on of the whole), ids: [count] u32, y: [count, width].
 */
export const embeddingKernel: Kernel = kernel({
  name: "embedding",
  reads: { table: "f32", ids: "u32" },
  writes: { y: "f32" },
  params: { count: "u32", width: "u32", start: "u32", rows: "u32" },
  tune: { wg: 64 },
  workgroups: ({ count, width }, { wg }) => Math.ceil(count * width / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.count * p.width) { return; }
  let id = ids[e / p.width];
  if (id < p.start || id - p.start >= p.rows) { return; }
  y[e] = table[(id - p.start) * p.width + e % p.width];`,
});

/**
 * Adds each id's rows of a gradient: y[ids[r] − start, c] += g[r, c], for the ids in
 * [start, start + rows).
 *
 * order: [count] u32, the rows r sorted by id, so the rows of one id are a segment. One invocation
 * per first row of a segment and column walks the segment in order: every sum has one owner and
 * one order. y: [rows, width] f32.
 */
export const embeddingGradKernel: Kernel = kernel({
  name: "embedding_grad",
  reads: { g: "f32", ids: "u32", order: "u32" },
  writes: { y: "f32" },
  params: { count: "u32", width: "u32", start: "u32", rows: "u32" },
  tune: { wg: 64 },
  workgroups: ({ count, width }, { wg }) => Math.ceil(count * width / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.count * p.width) { return; }
  let c = e % p.width;
  let i = e / p.width;
  let id = ids[order[i]];
  if (id < p.start || id - p.start >= p.rows) { return; }
  if (i > 0u && ids[order[i - 1u]] == id) { return; }
  var total = 0.0;
  for (var j = i; j < p.count; j++) {
    let r = order[j];
    if (ids[r] != id) { break; }
    total += g[r * p.width + c];
  }
  let at = (id - p.start) * p.width + c;
  y[at] = y[at] + total;`,
});
