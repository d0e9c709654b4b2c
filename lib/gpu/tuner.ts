/**
 * Chooses kernels by measurement: for each size class of what is planned, the fastest of the few most
 * promising variants, where it is clearly faster than the rule's.
 *
 * Results do not depend on it. Variants of a class take their sums in the same order, so an adapter
 * that compiles `fma` alike in all of them gives the same bits; and a variant that gives other bits than
 * the rule's for the measured operands is not taken.
 *
 * @module
 */

import type { Kernel } from "../../kernels/kernel.ts";
import type { KernelChoice } from "../graph/node.ts";
import type { Gpu } from "./device.ts";
import { timeVariants } from "./time_variants.ts";
import { type ChosenKernel, isPinned, type KernelUse, promisingKernels } from "./tuning.ts";

/** How much faster than the rule's a variant must be to be taken in its place. */
const MARGIN = 0.05;

/** Variants of a class that are measured at most; compiling one takes lavapipe up to 0.6 s. */
const MOST = { software: 3, hardware: 6 } as const;

/**
 * Measures the variants of a class.
 *
 * @param variants The rule's first.
 * @param deadline Time of the tuner's clock at which to give up.
 * @returns Of each variant the times of rounds in which they took turns, empty for one that is not to be
 *   taken; null where it gave up.
 */
export type TimeVariants = (
  choice: KernelChoice,
  use: KernelUse,
  variants: readonly Kernel[],
  deadline: number,
) => Promise<readonly (readonly number[])[] | null>;

/** How a tuner measures. */
export interface TunerOptions {
  /** Seconds that it may take in all; what is not measured by then stays with the rule. */
  readonly seconds: number;
  /** Kernels that are chosen already, by size class. */
  readonly known?: Readonly<Record<string, string>>;
  /** Is told what was measured. */
  readonly onMeasured?: (choices: Readonly<Record<string, string>>) => Promise<void>;
  /** Measures; on the device unless given. */
  readonly time?: TimeVariants;
  /** Milliseconds of the clock that the budget is of. */
  readonly now?: () => number;
}

/** Measures, once for each size class, on a device that nothing else uses meanwhile. */
export class KernelTuner {
  readonly #gpu: Gpu;
  readonly #time: TimeVariants;
  readonly #now: () => number;
  readonly #onMeasured: NonNullable<TunerOptions["onMeasured"]>;
  #left: number;

  /** Takes what is known, from now on, in place of the rule. */
  constructor(gpu: Gpu, options: TunerOptions) {
    const { seconds, known = {}, onMeasured = () => Promise.resolve() } = options;
    const { now = () => performance.now() } = options;
    this.#gpu = gpu;
    this.#now = now;
    this.#time = options.time ??
      ((choice, use, variants, deadline) =>
        timeVariants(gpu, choice, use, variants, () => now() > deadline));
    this.#onMeasured = onMeasured;
    this.#left = 1000 * seconds;
    for (const [size, name] of Object.entries(known)) gpu.kernelChoices.set(size, name);
  }

  /**
   * Measures what was planned since `chosenKernels` were cleared, that with the most operations first.
   *
   * @returns Whether a plan made now would take other kernels.
   */
  async tune(): Promise<boolean> {
    const started = this.#now();
    const deadline = started + this.#left;
    const measured: Record<string, string> = {};
    let changed = false;
    for (const { size, example, own } of open(this.#gpu)) {
      if (this.#now() >= deadline) break;
      const { choice, use } = example;
      const most = this.#gpu.adapter.software ? MOST.software : MOST.hardware;
      const variants = promisingKernels(this.#gpu, choice, most);
      if (variants.length < 2) continue;
      const times = await this.#time(choice, use!, variants, deadline);
      if (times === null) continue;
      measured[size] = variants[fastest(times)].name;
      changed ||= own.some(({ name }) => name !== measured[size]);
    }
    for (const [size, name] of Object.entries(measured)) this.#gpu.kernelChoices.set(size, name);
    this.#left -= this.#now() - started;
    if (Object.keys(measured).length > 0) await this.#onMeasured(measured);
    return changed;
  }
}

/** Size classes that nothing is chosen for, with the sizes that do most of their work. */
function open(gpu: Gpu): { size: string; example: ChosenKernel; own: ChosenKernel[] }[] {
  const work = ({ use }: ChosenKernel) => use!.operations;
  const chosen = [...gpu.chosenKernels.values()]
    .filter(({ choice, use }) => use !== undefined && !isPinned(gpu, choice));
  return [...Map.groupBy(chosen, ({ size }) => size)].map(([size, own]) => ({
    size,
    own,
    example: own.reduce((most, one) => work(one) > work(most) ? one : most),
    sum: own.reduce((sum, one) => sum + work(one), 0),
  })).sort((a, b) => b.sum - a.sum);
}

/**
 * Index of the variant to take: of those whose times are, by the median over the rounds, clearly below
 * the first one's of the same round, the one that is furthest below; the first where there is none.
 *
 * @param times [variants][rounds]; none for a variant that is not to be taken.
 */
export function fastest(times: readonly (readonly number[])[]): number {
  const [rule] = times;
  const ratios = times.map((own) => {
    if (own.length === 0) return Infinity;
    const sorted = own.map((time, round) => time / rule[round]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  });
  const best = ratios.indexOf(Math.min(...ratios));
  return ratios[best] < 1 - MARGIN ? best : 0;
}
