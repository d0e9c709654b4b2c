import { type Kernel, kernel } from "./kernel.ts";

/** y[start + i] = 0, f32, i < n. */
export const clearRun: Kernel = kernel({
  name: "clear_run",
  reads: {},
  writes: { y: "f32" },
  params: { n: "u32", start: "u32" },
  tune: { wg: 64 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i < p.n) { y[p.start + i] = 0.0; }`,
});
