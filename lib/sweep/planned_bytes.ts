import type { MemoryPlan } from "../graph/memory.ts";
import type { CellResult, PlannedBytes } from "./run_cell.ts";

/** A plan's bytes in the classes of a result: what of the base trains counts as trainable. */
export function plannedBytes(
  memory: MemoryPlan,
  { trainable }: CellResult["parameters"],
): PlannedBytes {
  const { weight, trainable: added, gradient, optimizer, kept } = memory.byRole;
  return {
    peakBytes: memory.total,
    weights: weight + added - trainable * 4,
    trainable: trainable * 4,
    optimizer: gradient + optimizer,
    activations: memory.activations,
    ...kept > 0 ? { kept } : {},
  };
}
