import { type Kernel, kernel } from "./kernel.ts";

/** y[b, c] = x[b, index[b], c]; x: [batch, tokens, width] f32, index: [batch] u32. */
export const selectTokenKernel: Kernel = kernel({
  name: "select_token",
  reads: { x: "f32", index: "u32" },
  writes: { y: "f32" },
  params: { batch: "u32", tokens: "u32", width: "u32" },
  tune: { wg: 64 },
  workgroups: ({ batch, width }, { wg }) => Math.ceil(batch * width / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.batch * p.width) { return; }
  let b = e / p.width;
  y[e] = x[(b * p.tokens + index[b]) * p.width + e % p.width];`,
});

/** dx[b, t, c] = g[b, c] where t = index[b], else 0. */
export const selectTokenGradKernel: Kernel = kernel({
  name: "select_token_grad",
  reads: { g: "f32", index: "u32" },
  writes: { dx: "f32" },
  params: { batch: "u32", tokens: "u32", width: "u32" },
  tune: { wg: 64 },
  workgroups: ({ batch, tokens, width }, { wg }) => Math.ceil(batch * tokens * width / wg),
  body: ({ wg }) =>
    `  let e = group * ${wg}u + lane;
  if (e >= p.batch * p.tokens * p.width) { return; }
  let t = (e / p.width) % p.tokens;
  let b = e / (p.width * p.tokens);
  dx[e] = select(0.0, g[b * p.width + e % p.width], t == index[b]);`,
});
