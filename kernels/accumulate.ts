import { type Kernel, kernel } from "./kernel.ts";

const make = (width: 1 | 4): Kernel => {
  const element = width === 4 ? "vec4<f32>" : "f32";
  return kernel({
    name: "accumulate",
    reads: { x: element },
    writes: { y: element },
    params: { n: "u32" },
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * width)),
    body: ({ wg }) =>
      `  let i = group * ${wg}u + lane;
  if (i < p.n / ${width}u) { y[i] = y[i] + x[i]; }`,
  });
};

const [single, four] = [make(1), make(4)];

/** y[i] += x[i], f32, i < n. */
export function accumulateKernel(n: number): Kernel {
  return n % 4 === 0 ? four : single;
}
