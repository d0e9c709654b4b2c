import { type Kernel, kernel } from "./kernel.ts";

/** y[i] += x[i], f32, i < n. */
export const accumulateKernel: Kernel = kernel({
  name: "accumulate",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: { n: "u32" },
  tune: { wg: 64 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i < p.n) { y[i] = y[i] + x[i]; }`,
});
