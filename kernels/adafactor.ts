/**
 * One Adafactor step (Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory
 * Cost", 2018, Algorithms 4 and 5), in six launches with a fixed order of sums.
 *
 * `now.w` of the schedule is t^−0.8 = 1 − β2 at step t. Second moments are kept as means over a row
 * or column, not as sums: R·C / ΣR of sums is r·c / mean(r) of means. Where `clip` says that the
 * gradient was not finite, moments and parameters stay.
 *
 * @module
 */

import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** ε1, added to squared gradients. */
const EPSILON1 = "1e-30";

/** ε2, the least scale of a parameter. */
const EPSILON2 = "1e-3";

/** Partial sums of a tensor; `stats` has 4 numbers and two of such lists. */
const STRIPES = 64;

/** Elements of `stats`: mean of r, step, decay, finite, partial sums of u² and of w². */
export const ADAFACTOR_STATS = 4 + 2 * STRIPES;

const PER_GROUP = 4096;

const control = { schedule: "vec4<f32>", step_count: "u32", clip: "f32" } as const;

/** The share that this step's squares get; `steps` rows, less what was skipped. */
const share = "schedule[min(step_count[0] - u32(clip[3]), p.steps - 1u)].w";

/**
 * r[first + i] ← (1 − s)·r + s·(mean over j of g'[i,j]² + ε1), g' = clip·g, s = t^−0.8.
 * g: [rows, cols]; one workgroup per row.
 */
export const adafactorRows: Kernel = kernel({
  name: "adafactor_rows",
  reads: { ...control, g: "f32" },
  writes: { r: "f32" },
  params: { rows: "u32", cols: "u32", first: "u32", steps: "u32" },
  tune: { wg: 64 },
  workgroups: ({ rows }) => rows,
  globals: ({ wg }) => reduction("sum", wg),
  body: ({ wg }) =>
    `  var total = 0.0;
  for (var j = lane; j < p.cols; j += ${wg}u) {
    let x = clip[0] * g[group * p.cols + j];
    total += x * x;
  }
  total = reduce_sum(total, lane);
  if (lane == 0u && clip[2] != 0.0) {
    let s = ${share};
    let i = p.first + group;
    r[i] = (1.0 - s) * r[i] + s * (total / f32(p.cols) + ${EPSILON1});
  }`,
});

/**
 * c[j] ← (1 − s)·c + s·(mean over i of g'[i,j]² + ε1); the mean is over `count` rows, of which a
 * launch adds its own: the first one decays c, others (`extend` = 1) add to it.
 * g: [rows, cols]; one invocation per column.
 */
export const adafactorColumns: Kernel = kernel({
  name: "adafactor_columns",
  reads: { ...control, g: "f32" },
  writes: { c: "f32" },
  params: { rows: "u32", cols: "u32", count: "u32", extend: "u32", steps: "u32" },
  tune: { wg: 64 },
  workgroups: ({ cols }, { wg }) => Math.ceil(cols / wg),
  body: ({ wg }) =>
    `  let j = group * ${wg}u + lane;
  if (j >= p.cols || clip[2] == 0.0) { return; }
  var total = 0.0;
  for (var i = 0u; i < p.rows; i++) {
    let x = clip[0] * g[i * p.cols + j];
    total += x * x;
  }
  let s = ${share};
  let part = s * (total / f32(p.count));
  if (p.extend == 1u) { c[j] = c[j] + part; }
  else { c[j] = (1.0 - s) * c[j] + (part + s * ${EPSILON1}); }`,
});

/** v[i] ← (1 − s)·v + s·(g'[i]² + ε1), for a vector. g, v: [n]. */
export const adafactorSquares: Kernel = kernel({
  name: "adafactor_squares",
  reads: { ...control, g: "f32" },
  writes: { v: "f32" },
  params: { n: "u32", steps: "u32" },
  tune: { wg: 64 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i >= p.n || clip[2] == 0.0) { return; }
  let s = ${share};
  let x = clip[0] * g[i];
  v[i] = (1.0 - s) * v[i] + s * (x * x + ${EPSILON1});`,
});

/** stats[0] = mean of r. r: [count]; one workgroup. */
export const adafactorMean: Kernel = kernel({
  name: "adafactor_mean",
  reads: { r: "f32" },
  writes: { stats: "f32" },
  params: { count: "u32" },
  tune: { wg: 64 },
  workgroups: () => 1,
  globals: ({ wg }) => reduction("sum", wg),
  body: ({ wg }) =>
    `  var total = 0.0;
  for (var i = lane; i < p.count; i += ${wg}u) { total += r[i]; }
  total = reduce_sum(total, lane);
  if (lane == 0u) { stats[0] = total / f32(p.count); }`,
});

/** What holds the second moments: r and c of a matrix, v of a vector. */
const moments = (factored: boolean): Record<string, "f32"> =>
  factored ? { r: "f32", c: "f32" } : { v: "f32" };

/** WGSL of u[i], the gradient over the root of its second moment. Roots first: r·c may underflow. */
const direction = (factored: boolean): string =>
  factored
    ? "inverseSqrt(r[p.first + i / p.cols] / stats[0]) * inverseSqrt(c[i % p.cols])"
    : "inverseSqrt(v[i])";

const norms = (factored: boolean): Kernel =>
  kernel({
    name: "adafactor_norms",
    reads: { clip: "f32", w: "f32", g: "f32", ...moments(factored) },
    writes: { stats: "f32" },
    params: { n: "u32", cols: "u32", first: "u32", extend: "u32", scaled: "u32" },
    tune: { wg: STRIPES },
    workgroups: ({ n }) => Math.min(Math.max(Math.ceil(n / PER_GROUP), 1), STRIPES),
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `  var updates = 0.0;
  var weights = 0.0;
  for (var i = group * ${wg}u + lane; i < p.n; i += p.groups * ${wg}u) {
    let u = clip[0] * g[i] * ${direction(factored)};
    updates += u * u;
    if (p.scaled == 1u) { weights += w[i] * w[i]; }
  }
  updates = reduce_sum(updates, lane);
  weights = reduce_sum(weights, lane);
  if (lane == 0u) {
    let before = select(vec2f(), vec2f(stats[4u + group], stats[${
        4 + STRIPES
      }u + group]), p.extend == 1u);
    stats[4u + group] = before.x + updates;
    stats[${4 + STRIPES}u + group] = before.y + weights;
  }
  if (group == 0u && lane >= p.groups && p.extend == 0u) {
    stats[4u + lane] = 0.0;
    stats[${4 + STRIPES}u + lane] = 0.0;
  }`,
  });

/**
 * From the partial sums: stats[1] = α / max(1, RMS(u)), stats[2] = α·decay, stats[3] = finite, with
 * α = lr·rate, times max(ε2, RMS(w)) where `scaled` = 1. n: elements of the tensor; one workgroup.
 */
export const adafactorScale: Kernel = kernel({
  name: "adafactor_scale",
  reads: control,
  writes: { stats: "f32" },
  params: { n: "u32", steps: "u32", rate: "f32", decay: "f32", scaled: "u32" },
  tune: { wg: STRIPES },
  workgroups: () => 1,
  globals: ({ wg }) => reduction("sum", wg),
  body: () =>
    `  let updates = reduce_sum(stats[4u + lane], lane);
  let weights = reduce_sum(stats[${4 + STRIPES}u + lane], lane);
  if (lane == 0u) {
    let scale = select(1.0, max(${EPSILON2}, sqrt(weights / f32(p.n))), p.scaled == 1u);
    let rate = schedule[min(step_count[0], p.steps - 1u)].x * p.rate * scale;
    stats[1] = rate / max(1.0, sqrt(updates / f32(p.n)));
    stats[2] = rate * p.decay;
    stats[3] = clip[2];
  }`,
});

const apply = (factored: boolean): Kernel =>
  kernel({
    name: "adafactor_apply",
    reads: { clip: "f32", stats: "f32", ...moments(factored) },
    writes: { w: "f32", g: "f32" },
    params: { n: "u32", cols: "u32", first: "u32" },
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
    body: ({ wg }) =>
      `  let i = group * ${wg}u + lane;
  if (i >= p.n) { return; }
  let gradient = clip[0] * g[i];
  g[i] = 0.0;
  if (stats[3] == 0.0) { return; }
  let u = gradient * ${direction(factored)};
  w[i] = (w[i] - stats[2] * w[i]) - stats[1] * u;`,
  });

/** Partial sums of u² and, where `scaled` = 1, of w², in stripes as `square_partials` has them. */
export const adafactorNorms = { matrix: norms(true), vector: norms(false) };

/** w ← w − stats[2]·w − stats[1]·u; clears the gradient for the next step. */
export const adafactorApply = { matrix: apply(true), vector: apply(false) };
