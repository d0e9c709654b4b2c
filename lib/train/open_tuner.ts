/**
 * The tuner that an execution asks for.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { KernelTuner } from "../gpu/tuner.ts";
import { TUNE_SECONDS, type TuneKernels } from "./execution.ts";
import type { KernelCache } from "./kernel_cache.ts";

/**
 * Opens a tuner; what the cache holds is taken from now on, without measuring it.
 *
 * On a software adapter, where the rule was fitted to measurements and compiling a variant takes half a
 * second, nothing is measured unless seconds are asked for. Without seconds and without permission for
 * the cache, which would have every process measure, nothing is.
 *
 * @param note Is told, in a sentence, why the cache is not used.
 * @returns Null where the rule alone chooses.
 */
export async function openTuner(
  gpu: Gpu,
  cache: KernelCache,
  tune: TuneKernels = "auto",
  note?: (text: string) => void,
): Promise<KernelTuner | null> {
  const { isPermitted } = cache;
  if (tune === "never" || (tune === "auto" && !isPermitted)) return null;
  return new KernelTuner(gpu, {
    seconds: tune !== "auto" ? tune : gpu.adapter.software ? 0 : TUNE_SECONDS,
    known: isPermitted ? await cache.read(note) : {},
    // What cannot be kept is measured again by the next process.
    onMeasured: async (choices) => {
      if (isPermitted) await cache.add(choices).catch(() => {});
    },
  });
}
