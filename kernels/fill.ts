import { type Kernel, kernel } from "./kernel.ts";

/** y[i] = value, f32, i < n. */
export const fillKernel: Kernel = kernel({
  name: "fill",
  reads: {},
  writes: { y: "f32" },
  params: { n: "u32", value: "f32" },
  tune: { wg: 64 },
  workgroups: ({ n }, { wg }) => Math.ceil(n / wg),
  body: ({ wg }) =>
    `  let i = group * ${wg}u + lane;
  if (i < p.n) { y[i] = p.value; }`,
});
