import { type Kernel, kernel } from "./kernel.ts";

/**
 * Rotary position embedding of halves (Su et al., 2021): for each pair (x₁, x₂) = elements i and
 * i + D/2 of a head, y₁ = x₁·cos − turn·x₂·sin, y₂ = x₂·cos + turn·x₁·sin; turn is 1, or −1 to
 * rotate back.
 *
 * x, y: [B, T, H, D]; cos, sin: [T, D/2]. One invocation per pair.
 */
export const ropeKernel: Kernel = kernel({
  name: "rope",
  reads: { x: "f32", cosine: "f32", sine: "f32" },
  writes: { y: "f32" },
  params: { pairs: "u32", tokens: "u32", heads: "u32", half: "u32", turn: "f32" },
  tune: { wg: 64 },
  workgroups: ({ pairs }, { wg }) => Math.ceil(pairs / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.pairs) { return; }
  let i = e % p.half;
  let head = e / p.half;
  let angle = ((head / p.heads) % p.tokens) * p.half + i;
  let at = 2u * head * p.half + i;
  let c = cosine[angle];
  let s = p.turn * sine[angle];
  let x1 = x[at];
  let x2 = x[at + p.half];
  y[at] = x1 * c - x2 * s;
  y[at + p.half] = x2 * c + x1 * s;`,
});
