import { type Kernel, kernel } from "./kernel.ts";

/**
 * Dropout: y[b,i,j,k] = x[b,i,j,k] · scale where its random word is at least `threshold`, else 0.
 *
 * The word is a hash of (seed, site, step, examples[b]) and (i, j, k), so it depends neither on
 * where in the batch an example lies nor on how long the batch is padded. x, y: [batch, d1, d2, d3].
 *
 * Source of the hash: pcg4d in Jarzynski and Olano, "Hash Functions for GPU Rendering", Journal of
 * Computer Graphics Techniques 9(3), 2020.
 */
export const dropoutKernel: Kernel = kernel({
  name: "dropout",
  reads: { x: "f32", examples: "u32", step_count: "u32", seed: "u32" },
  writes: { y: "f32" },
  params: {
    n: "u32",
    d1: "u32",
    d2: "u32",
    d3: "u32",
    site: "u32",
    threshold: "u32",
    scale: "f32",
  },
  tune: { wg: 64 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  globals: () =>
    `fn pcg4d(key: vec4<u32>) -> vec4<u32> {
  var v = key * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4<u32>(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}`,
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.n) { return; }
  let k = e % p.d3;
  let j = (e / p.d3) % p.d2;
  let i = (e / (p.d3 * p.d2)) % p.d1;
  let b = e / (p.d3 * p.d2 * p.d1);
  let key = pcg4d(vec4<u32>(seed[0], p.site, step_count[0], examples[b]));
  let word = pcg4d(key ^ vec4<u32>(i, j, k, 0u)).w;
  y[e] = select(0.0, x[e] * p.scale, word >= p.threshold);`,
});
