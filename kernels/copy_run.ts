import { type Element, type Kernel, kernel } from "./kernel.ts";

const make = (element: Element, width: number): Kernel =>
  kernel({
    name: "copy_run",
    reads: { x: element },
    writes: { y: element },
    params: { n: "u32", x_start: "u32", y_start: "u32" },
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * width)),
    body: ({ wg }) =>
      `  let i = group * ${wg}u + lane;
  if (i < p.n / ${width}u) { y[p.y_start / ${width}u + i] = x[p.x_start / ${width}u + i]; }`,
  });

const kernels = { f32: make("f32", 1), u32: make("u32", 1), i32: make("i32", 1) };
const four = make("vec4<f32>", 4);

/** Copies neighbouring elements: y[y_start + i] = x[x_start + i], i < n. */
export function copyRun(
  dtype: keyof typeof kernels,
  ...numbers: readonly [n: number, xStart: number, yStart: number]
): Kernel {
  const fours = dtype === "f32" && numbers.every((number) => number % 4 === 0);
  return fours ? four : kernels[dtype];
}
