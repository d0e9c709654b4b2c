import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** Partial sums of squares per tensor. */
export const PARTIALS = 64;

const PER_STRIPE = 4096;

/** How many stripes a tensor of n elements is cut into; the order of its sums follows from it. */
export function normStripes(n: number): number {
  return Math.min(Math.max(Math.ceil(n / PER_STRIPE), 1), PARTIALS);
}

/**
 * WGSL that leaves in `total` what an invocation of 64 adds up of the squares of a tensor: `n` elements
 * of the binding from vec4 `start` on. It is stripe `stripe`, in which each vec4 is `step` from the one
 * before.
 */
export function addSquares(binding: string): string {
  return `  var total = 0.0;
  if (n % 4u == 0u) {
    var i = stripe * ${PARTIALS}u + lane;
    for (; i + 3u * step < n / 4u; i += 4u * step) {
      let a = ${binding}[start + i];
      let b = ${binding}[start + i + step];
      let c = ${binding}[start + i + 2u * step];
      let d = ${binding}[start + i + 3u * step];
      total += dot(a, a);
      total += dot(b, b);
      total += dot(c, c);
      total += dot(d, d);
    }
    for (; i < n / 4u; i += step) {
      let value = ${binding}[start + i];
      total += dot(value, value);
    }
  } else {
    for (var i = stripe * ${PARTIALS}u + lane; i < n; i += step) {
      let value = ${binding}[start + i / 4u][i % 4u];
      total = fma(value, value, total);
    }
  }`;
}

const squares = (many: boolean): Kernel =>
  kernel({
    name: "square_partials",
    reads: { ...(many ? { stripes: "vec4<u32>" as const } : {}), x: "vec4<f32>" },
    writes: { partials: "f32" },
    params: many
      ? { count: "u32", first: "u32", origin: "u32" }
      : { n: "u32", tensor: "u32", extend: "u32" },
    tune: { wg: PARTIALS },
    workgroups: ({ n, count }) => many ? count : normStripes(n),
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `${
        many
          ? `  let row = stripes[p.first + group];
  let start = row.x - p.origin;
  let n = row.y;
  let stripe = row.z & 0xffffu;
  let step = (row.z >> 16u) * ${wg}u;
  let at = row.w * ${PARTIALS}u;`
          : `  let start = 0u;
  let n = p.n;
  let stripe = group;
  let step = p.groups * ${wg}u;
  let at = p.tensor * ${PARTIALS}u;`
      }
${addSquares("x")}
  total = reduce_sum(total, lane);${
        many ? "" : `
  if (p.extend == 1u) {
    if (lane == 0u) { partials[at + stripe] = partials[at + stripe] + total; }
    return;
  }`
      }
  if (lane == 0u) { partials[at + stripe] = total; }
  if (stripe == 0u && lane >= step / ${wg}u) { partials[at + lane] = 0.0; }`,
  });

/**
 * Sums of squares of tensors: partials[64·t + q] = Σ x[i]², i in stripe q of tensor t; zero beyond its
 * stripes. A stripe is every so manieth 64 vec4s (elements, where the size is no multiple of four).
 *
 * `many`: of tensors side by side (see `update_block.ts`), of which the first vec4 is number `origin`,
 * `count` stripes from row `first` of the table on: (first vec4 of the tensor; its elements; stripe,
 * and in the upper half how many there are; tensor). `one`: of one tensor, or with `extend` = 1 of a
 * further part of it, added to what is there.
 */
export const squarePartials = { many: squares(true), one: squares(false) };

/**
 * WGSL that writes `clip` from `total`, the sum of all squares. The exponent's bits tell what is
 * finite, since a compiler may assume that there is no NaN to compare with.
 */
export function writeClip(scaled: boolean): string {
  return `    let norm = sqrt(total)${scaled ? " / loss_scale[0]" : ""};
    let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
    let limit = select(1.0, min(1.0, p.max_norm / (norm + 1e-6)), p.limited == 1u);
    clip[0] = select(0.0, limit${scaled ? " / loss_scale[0]" : ""}, finite);
    clip[1] = norm;
    clip[2] = select(0.0, 1.0, finite);${scaled ? "\n    clip[3] = loss_scale[2];" : ""}`;
}

const clipCoefficient = (scaled: boolean): Kernel =>
  kernel({
    name: "clip_coefficient",
    reads: { partials: "f32", ...(scaled ? { loss_scale: "f32" } : {}) },
    writes: { clip: "f32" },
    params: { count: "u32", limited: "u32", max_norm: "f32" },
    tune: { wg: 64 },
    workgroups: () => 1,
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `  var total = 0.0;
  for (var i = lane; i < p.count; i += ${wg}u) { total += partials[i]; }
  total = reduce_sum(total, lane);
  if (lane == 0u) {
${writeClip(scaled)}
  }`,
  });

const clipCoefficients = { plain: clipCoefficient(false), scaled: clipCoefficient(true) };

/**
 * Clipping by global norm: clip = (coefficient, norm, finite, steps skipped so far).
 *
 * norm = √Σ partials; finite is 0 where that is infinite or not a number, and the coefficient then
 * 0; else it is min(1, max_norm / (norm + 1e-6)) where `limited` = 1, and 1 where not.
 * partials: [count] f32. One workgroup. With `scaled`, gradients are those of loss_scale[0] times
 * the loss: the norm is that of the loss alone, the coefficient divides by the scale as well, and
 * skipped steps are what loss_scale[2] counts; without, none are.
 *
 * Source: Pascanu et al., "On the difficulty of training recurrent neural networks", 2013; the
 * constant is PyTorch's.
 */
export function clipCoefficientKernel(scaled: boolean): Kernel {
  return scaled ? clipCoefficients.scaled : clipCoefficients.plain;
}
