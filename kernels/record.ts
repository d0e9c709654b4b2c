import { type Kernel, kernel } from "./kernel.ts";

/**
 * Adds a step's loss to its slot of a ring and clears the slot of the next step:
 * losses[s mod capacity] += loss, losses[(s + 1) mod capacity] = 0, with s = step_count[0].
 */
export const recordKernel: Kernel = kernel({
  name: "record",
  reads: { loss: "f32", step_count: "u32" },
  writes: { losses: "f32" },
  params: { capacity: "u32" },
  tune: { wg: 1 },
  workgroups: () => 1,
  body: () =>
    `  let slot = step_count[0] % p.capacity;
  losses[slot] = losses[slot] + loss[0];
  losses[(slot + 1u) % p.capacity] = 0.0;`,
});
