import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** WGSL by which one invocation adds `total`, times the factor where there is one, to the step's slot. */
export function recordTotal(scaled: boolean): string {
  return `    let loss = total${scaled ? " * factor[0]" : ""};
    let slot = step_count[0] % p.capacity;
    losses[slot] = losses[slot] + loss;
    losses[(slot + 1u) % p.capacity] = 0.0;`;
}

const make = (scaled: boolean): Kernel =>
  kernel({
    name: "record",
    reads: { terms: "f32", ...(scaled ? { factor: "f32" as const } : {}), step_count: "u32" },
    writes: { losses: "f32" },
    params: { count: "u32", capacity: "u32" },
    tune: { wg: 64 },
    workgroups: () => 1,
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `  var total = 0.0;
  for (var i = lane; i < p.count; i += ${wg}u) { total += terms[i]; }
  total = reduce_sum(total, lane);
  if (lane == 0u) {
${recordTotal(scaled)}
  }`,
  });

const [plain, scaled] = [make(false), make(true)];

/**
 * Adds a step's loss to its slot of a ring and clears the slot of the next step:
 * losses[s mod capacity] += factor · Σ terms, losses[(s + 1) mod capacity] = 0, with
 * s = step_count[0]. terms: [count] f32, added up as `sum_rows` does. One workgroup.
 *
 * @param withFactor Whether there is a factor, f32 [1].
 */
export function recordKernel(withFactor: boolean): Kernel {
  return withFactor ? scaled : plain;
}
