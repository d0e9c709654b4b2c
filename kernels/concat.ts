import { type Kernel, kernel } from "./kernel.ts";

/**
 * Copies a block along a middle axis: y[o, y_start + t, i] = x[o, x_start + t, i] for t < length.
 * x: [outer, x_length, inner], y: [outer, y_length, inner] f32.
 */
export const copyBlock: Kernel = kernel({
  name: "copy_block",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: {
    outer: "u32",
    length: "u32",
    inner: "u32",
    x_length: "u32",
    y_length: "u32",
    x_start: "u32",
    y_start: "u32",
  },
  tune: { wg: 64 },
  workgroups: ({ outer, length, inner }, { wg }) => Math.ceil(outer * length * inner / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.outer * p.length * p.inner) { return; }
  let i = e % p.inner;
  let t = (e / p.inner) % p.length;
  let o = e / (p.inner * p.length);
  y[(o * p.y_length + p.y_start + t) * p.inner + i] = x[(o * p.x_length + p.x_start + t) * p.inner + i];`,
});
