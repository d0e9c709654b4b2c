/**
 * Which of several kernels of one class runs on this adapter.
 *
 * @module
 */

import type { Kernel } from "../../kernels/kernel.ts";
import type { KernelChoice } from "../graph/node.ts";
import type { Gpu } from "./device.ts";

/** The kernel to run for a choice. Variants of one class sum in the same order. */
export function chooseKernel(_gpu: Gpu, choice: KernelChoice): Kernel {
  return choice.variants[0];
}
