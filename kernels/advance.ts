import { type Kernel, kernel } from "./kernel.ts";

/** step_count[0] += 1, u32. */
export const advanceKernel: Kernel = kernel({
  name: "advance",
  reads: {},
  writes: { step_count: "u32" },
  params: {},
  tune: { wg: 1 },
  workgroups: () => 1,
  body: () => `  step_count[0] = step_count[0] + 1u;`,
});
