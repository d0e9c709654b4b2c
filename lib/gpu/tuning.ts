/**
 * Which of several kernels of one class runs on this adapter.
 *
 * The choice is a pure function of the adapter's kind, the family and the sizes, so that the same
 * program picks the same kernels, and gives the same bits, in every run. A measured choice
 * (`tuner.ts`) takes precedence where `gpu.kernelChoices` holds one. What was chosen is kept in `gpu.chosenKernels`, is
 * stored with the run, and pinned where the run is done again.
 *
 * @module
 */

import type { Kernel, Params } from "../../kernels/kernel.ts";
import { DIRECT_BLOCKS, type DirectBlock, directName } from "../../kernels/matmul_direct.ts";
import { type Tile, tiledName, TILES } from "../../kernels/matmul_tiled.ts";
import type { KernelChoice } from "../graph/node.ts";
import type { Gpu } from "./device.ts";

/** What the choice needs to know of a device. */
export type Tuned =
  & Pick<Gpu, "adapter" | "subgroup" | "kernelChoices">
  & Partial<Pick<Gpu, "chosenKernels">>;

/** What was chosen for some exact sizes. */
export interface ChosenKernel {
  /** The class that the sizes belong to; see {@linkcode choiceKey}. */
  readonly size: string;
  readonly name: string;
  readonly choice: KernelChoice;
  /** What the launches are, where the operation tells. */
  readonly use?: KernelUse;
}

/** Launches of some exact sizes. */
export interface KernelUse {
  /** Elements of each binding. */
  readonly operands: Readonly<Record<string, number>>;
  /** Floating-point operations of all of them. */
  readonly operations: number;
}

/**
 * The kernel to run for a choice: the measured one, or the rule's.
 *
 * @throws RangeError where a measured choice names a kernel that the device does not run.
 */
export function chooseKernel(gpu: Tuned, choice: KernelChoice): Kernel {
  return take(gpu, choice, () => isMatmul(choice) ? chooseMatmul(gpu, choice.params) : undefined);
}

/**
 * Kernels for launches that are one as far as their kernels are.
 *
 * On a GPU a launch more costs such small products more than loads that are not of vectors.
 *
 * @throws RangeError as {@linkcode chooseKernel}.
 */
export function chooseKernels(gpu: Tuned, choices: readonly KernelChoice[]): Kernel[] {
  const wanted = gpu.adapter.software ? choices : commonFamilies(choices);
  const names = new Map<KernelChoice, string>();
  for (const own of Map.groupBy(wanted.filter(isMatmul), ({ family }) => family).values()) {
    const found = chooseMatmuls(gpu, own.map(({ params }) => params));
    own.forEach((choice, i) => names.set(choice, found[i]));
  }
  return wanted.map((choice) =>
    take(gpu, { ...choice, family: `${choice.family} grouped` }, () => names.get(choice))
  );
}

/** The same choices, each of the family that most of them can be of. */
function commonFamilies(choices: readonly KernelChoice[]): KernelChoice[] {
  const offers = choices.map((choice) => [choice, ...choice.others ?? []]);
  const uses = (name: string) =>
    offers.filter((own) => own.some(({ family }) => family === name)).length;
  return choices.map((choice, i) => {
    const [best] = offers[i].toSorted((a, b) => uses(b.family) - uses(a.family));
    return { ...choice, family: best.family, variants: best.variants };
  });
}

function isMatmul({ family }: KernelChoice): boolean {
  return family.startsWith("matmul");
}

function take(gpu: Tuned, choice: KernelChoice, rule: () => string | undefined): Kernel {
  const [family] = choice.family.split(" ");
  const [exact, size] = [exactKey(choice), choiceKey(choice)];
  const pinned = [exact, size, family].map((key) => gpu.kernelChoices.get(key))
    .find((name) => name !== undefined);
  const name = pinned ?? rule();
  const usable = usableVariants(gpu, choice);
  const found = name === undefined ? usable[0] : usable.find((kernel) => kernel.name === name);
  if (found === undefined) {
    throw new RangeError(
      `Cannot run kernel ${name} for ${family}: this adapter runs ${
        usable.map((kernel) => kernel.name).join(", ")
      }; take one of these`,
    );
  }
  const { use } = gpu.chosenKernels?.get(exact) ?? {};
  gpu.chosenKernels?.set(exact, { size, name: found.name, choice, use });
  return found;
}

/** Notes a launch of a kernel that was chosen. */
export function noteUse({ chosenKernels }: Tuned, choice: KernelChoice, use: KernelUse): void {
  const exact = exactKey(choice);
  const chosen = chosenKernels?.get(exact);
  if (chosen === undefined) return;
  const operations = (chosen.use?.operations ?? 0) + use.operations;
  chosenKernels!.set(exact, { ...chosen, use: { ...use, operations } });
}

/** Of the kernels that are named in place of the rule's, those that were taken since then. */
export function namedKernels(
  { chosenKernels, kernelChoices }: Pick<Gpu, "chosenKernels" | "kernelChoices">,
): Record<string, string> {
  const taken = new Set([...chosenKernels].flatMap(([exact, { size }]) => [exact, size]));
  return Object.fromEntries([...kernelChoices].filter(([key]) => taken.has(key)));
}

/** Whether a choice is made by a name, and by no rule. */
export function isPinned({ kernelChoices }: Tuned, choice: KernelChoice): boolean {
  const [family] = choice.family.split(" ");
  return [exactKey(choice), choiceKey(choice), family].some((key) => kernelChoices.has(key));
}

/**
 * Has what is planned meanwhile run on these kernels alone, by size class or exact sizes, and on the
 * rule's where none is named.
 */
export function withKernels<T>(
  { kernelChoices }: Pick<Gpu, "kernelChoices">,
  kernels: Readonly<Record<string, string>>,
  plan: () => T,
): T {
  const before = [...kernelChoices];
  const set = (entries: Iterable<[string, string]>) => {
    kernelChoices.clear();
    for (const [key, name] of entries) kernelChoices.set(key, name);
  };
  set(Object.entries(kernels));
  try {
    return plan();
  } finally {
    set(before);
  }
}

function usableVariants({ subgroup: own }: Tuned, { variants }: KernelChoice): Kernel[] {
  return variants.filter(({ subgroup = own }) => subgroup === own);
}

/**
 * Variants that are worth measuring, the rule's first: of products on software adapters those that
 * should take the least time, elsewhere those that lie next to the rule's in their list.
 */
export function promisingKernels(gpu: Tuned, choice: KernelChoice, most: number): Kernel[] {
  const { adapter, subgroup } = gpu;
  const first = chooseKernel({ adapter, subgroup, kernelChoices: new Map() }, choice);
  const usable = usableVariants(gpu, choice);
  const matmul = isMatmul(choice);
  const blockOf = (kernel: Kernel) =>
    DIRECT_BLOCKS.find((block) => directName(block) === kernel.name);
  const cost = (kernel: Kernel) => {
    const block = matmul && gpu.adapter.software ? blockOf(kernel) : undefined;
    if (block !== undefined) return directTime(block, choice.params);
    // Copies into workgroup memory only add to the work there; see matmul_direct.ts.
    if (matmul && gpu.adapter.software) return Infinity;
    return Math.abs(usable.indexOf(kernel) - usable.indexOf(first));
  };
  const others = usable.filter((kernel) => kernel !== first && cost(kernel) < Infinity);
  return [first, ...others.sort((a, b) => cost(a) - cost(b))].slice(0, most);
}

/**
 * What was chosen on a device since its `chosenKernels` were cleared, in the form of its
 * `kernelChoices`: by size class where all of a class agree, by exact sizes elsewhere.
 */
export function kernelRecord(
  { chosenKernels }: Pick<Gpu, "chosenKernels">,
): Record<string, string> {
  const record: [string, string][] = [];
  for (const [size, own] of Map.groupBy(chosenKernels, ([, { size }]) => size)) {
    const [[, { name }]] = own;
    if (own.every(([, other]) => other.name === name)) record.push([size, name]);
    else record.push(...own.map(([exact, { name }]) => [exact, name] as [string, string]));
  }
  return Object.fromEntries(record.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Family and size class of a choice: sizes are rounded up to powers of two. */
export function choiceKey(choice: KernelChoice): string {
  return keyOf(choice, (name, size) => `${name}${2 ** Math.ceil(Math.log2(Math.max(size, 1)))}`);
}

/** Family and sizes of a choice. */
function exactKey(choice: KernelChoice): string {
  return keyOf(choice, (name, size) => `${name}=${size}`);
}

function keyOf(
  { family, params }: KernelChoice,
  write: (name: string, size: number) => string,
): string {
  const names = ["m", "n", "k", "batch_i", "batch_j"].filter((name) => name in params);
  return [family, ...names.map((name) => write(name, params[name]))].join(" ");
}

function chooseMatmul({ adapter, subgroup }: Tuned, params: Params): string {
  return adapter.software ? directFor([params], subgroup)[0] : tileFor([params]);
}

/** Of products that are one launch for each kernel. */
function chooseMatmuls({ adapter, subgroup }: Tuned, parts: readonly Params[]): string[] {
  if (adapter.software) return directFor(parts, subgroup);
  const name = tileFor(parts);
  return parts.map(() => name);
}

/**
 * A block for each part: those of least estimated time, with what a launch of each takes; the first
 * of equals. One more is added as long as it saves more than that.
 */
function directFor(parts: readonly Params[], subgroup: number): string[] {
  const blocks = DIRECT_BLOCKS.filter((block) => !block.subgroup || block.lanes === subgroup);
  const times = blocks.map((block) => parts.map((params) => directTime(block, params)));
  let chosen = parts.map(() => -1);
  let least = Infinity;
  for (;;) {
    const next = times.map((own, i) =>
      chosen.map((before, part) => before < 0 || own[part] < times[before][part] ? i : before)
    );
    const sums = next.map((own) =>
      new Set(own).size * LAUNCH + own.reduce((sum, i, part) => sum + times[i][part], 0)
    );
    const best = sums.indexOf(Math.min(...sums));
    if (sums[best] >= least) return chosen.map((i) => directName(blocks[i]));
    [chosen, least] = [next[best], sums[best]];
  }
}

// Nanoseconds of one core for vectors of eight, as measured on lavapipe (AVX2-class CPU).
const LOAD = 5;
const MULTIPLY_ADD = 1;
const STORE = 8;
const GROUP = 300;
const LAUNCH = 20000;

/** Nanoseconds that two cores take for a product by register blocks, estimated. */
function directTime({ axis, rows, cols, lanes, subgroup }: DirectBlock, p: Params): number {
  const down = axis === "n" ? p.m : p.n;
  const groups = Math.ceil(down / rows) * Math.ceil(p[axis] / (cols * lanes)) * p.batch_i *
    p.batch_j;
  const loads = cols + (subgroup ? rows / lanes : rows);
  const group = GROUP + p.k * (loads * LOAD + rows * cols * MULTIPLY_ADD) + rows * cols * STORE;
  return Math.ceil(groups / 2) * group;
}

/** Groups that keep a GPU of about a hundred multiprocessors busy. */
const BUSY = 128;

/**
 * The tile that wastes and reads least, of the smallest square and those that give every
 * multiprocessor work.
 */
function tileFor(parts: readonly Params[]): string {
  const groups = ({ rows, columns }: Tile) =>
    parts.reduce(
      (sum, { m, n, batch_i, batch_j }) =>
        sum + Math.ceil(m / rows) * Math.ceil(n / columns) * batch_i * batch_j,
      0,
    );
  // Reads for each multiply-add: of a tile from global memory, of an invocation from the workgroup's.
  const time = (tile: Tile) => {
    const { rows, columns, down, across } = tile;
    const reads = 1 / rows + 1 / columns + down / rows + across / columns;
    return groups(tile) * rows * columns * (1 + reads);
  };
  const tiles = TILES.filter((tile) => tile.rows + tile.columns === 64 || groups(tile) >= BUSY);
  const times = tiles.map(time);
  return tiledName(tiles[times.indexOf(Math.min(...times))]);
}
