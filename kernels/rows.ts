/**
 * Kernels that reduce rows: one invocation per short row, one workgroup per long one.
 *
 * A short row costs no barrier that way, which is what such kernels spend their time on where
 * barriers are dear (a CPU adapter); a long row is spread over invocations. Which of both it is
 * follows from the row's length alone, and so does the order of its sums.
 *
 * @module
 */

import { type Kernel, kernel, type KernelDefinition, type Tune } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** How a row kernel is declared; see {@linkcode rowKernel}. */
export interface RowKernelDefinition
  extends Pick<KernelDefinition, "name" | "reads" | "writes" | "params"> {
  /** Which reductions the body calls. */
  readonly reductions: readonly ("sum" | "max")[];
  /**
   * Statements over `row`. `each(i, length)` is a loop's head over the row's elements; values made
   * in it are combined by `reduce_sum(value, lane)` or `reduce_max(value, lane)`; `leader` is true
   * in one invocation of each row.
   */
  readonly body: (each: (index: string, length: string) => string) => string;
}

/** Rows up to this length are short. */
const SHORT = 256;

/** The constants of a row kernel for rows of some length. */
export function rowTune(length: number): Tune {
  return length <= SHORT ? { short: 1, wg: 32 } : { short: 0, wg: 64 };
}

/** Completes a kernel over `p.rows` rows; its dispatches take {@linkcode rowTune}. */
export function rowKernel({ reductions, body, ...rest }: RowKernelDefinition): Kernel {
  return kernel({
    ...rest,
    tune: { short: 0, wg: 64 },
    workgroups: ({ rows }, { short, wg }) => short === 1 ? Math.ceil(rows / wg) : rows,
    globals: ({ short, wg }) =>
      reductions.map((kind) =>
        short === 1
          ? `fn reduce_${kind}(value: f32, lane: u32) -> f32 { return value; }`
          : reduction(kind, wg)
      ).join("\n"),
    body: ({ short, wg }) =>
      short === 1
        ? `  let row = group * ${wg}u + lane;
  if (row >= p.rows) { return; }
  let leader = true;
${body((index, length) => `for (var ${index} = 0u; ${index} < ${length}; ${index}++)`)}`
        : `  let row = group;
  let leader = lane == 0u;
${body((index, length) => `for (var ${index} = lane; ${index} < ${length}; ${index} += ${wg}u)`)}`,
  });
}
