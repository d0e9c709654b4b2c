import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** Partial sums of squares per tensor. */
export const PARTIALS = 64;

const PER_GROUP = 4096;

const squares = (width: 1 | 4): Kernel =>
  kernel({
    name: "square_partials",
    reads: { x: width === 4 ? "vec4<f32>" : "f32" },
    writes: { partials: "f32" },
    params: { n: "u32", offset: "u32", extend: "u32" },
    tune: { wg: PARTIALS },
    workgroups: ({ n }) => Math.min(Math.max(Math.ceil(n / PER_GROUP), 1), PARTIALS),
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `  var total = 0.0;
  for (var i = group * ${wg}u + lane; i < p.n / ${width}u; i += p.groups * ${wg}u) {
    ${width === 4 ? "total += dot(x[i], x[i]);" : "total = fma(x[i], x[i], total);"}
  }
  total = reduce_sum(total, lane);
  if (p.extend == 1u) {
    if (lane == 0u) { partials[p.offset + group] = partials[p.offset + group] + total; }
    return;
  }
  if (lane == 0u) { partials[p.offset + group] = total; }
  if (group == 0u && lane >= p.groups) { partials[p.offset + lane] = 0.0; }`,
  });

const [single, four] = [squares(1), squares(4)];

/**
 * Partial sums of squares: partials[offset + q] = Σ x[i]², i in stripe q; zero beyond the stripes.
 *
 * x: [n] f32. The number of stripes, and the order of sums, follow from n alone. `extend` = 1 adds
 * to what an earlier shard of the same tensor left there.
 */
export function squarePartials(n: number): Kernel {
  return n % 4 === 0 ? four : single;
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
    // The exponent's bits decide, since a compiler may assume that there is no NaN to compare with.
    body: ({ wg }) =>
      `  var total = 0.0;
  for (var i = lane; i < p.count; i += ${wg}u) { total += partials[i]; }
  total = reduce_sum(total, lane);
  if (lane == 0u) {
    let norm = sqrt(total)${scaled ? " / loss_scale[0]" : ""};
    let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
    let limit = select(1.0, min(1.0, p.max_norm / (norm + 1e-6)), p.limited == 1u);
    clip[0] = select(0.0, limit${scaled ? " / loss_scale[0]" : ""}, finite);
    clip[1] = norm;
    clip[2] = select(0.0, 1.0, finite);${scaled ? "\n    clip[3] = loss_scale[2];" : ""}
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
