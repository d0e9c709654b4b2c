/**
 * Which of several kernels of one class runs on this adapter.
 *
 * The choice is a pure function of the adapter's kind, the family and the sizes, so that the same
 * program picks the same kernels, and gives the same bits, in every run. A measured choice takes
 * precedence where `gpu.kernelChoices` holds one. What was chosen is kept in `gpu.chosenKernels`, is
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

/**
 * The kernel to run for a choice: the measured one, or the rule's.
 *
 * @throws RangeError where a measured choice names a kernel that the device does not run.
 */
export function chooseKernel(gpu: Tuned, choice: KernelChoice): Kernel {
  const [family] = choice.family.split(" ");
  const [exact, size] = [exactKey(choice), choiceKey(choice)];
  const pinned = [exact, size, family].map((key) => gpu.kernelChoices.get(key))
    .find((name) => name !== undefined);
  const name = pinned ?? (family === "matmul" ? chooseMatmul(gpu, choice.params) : undefined);
  const usable = choice.variants.filter(({ subgroup = gpu.subgroup }) => subgroup === gpu.subgroup);
  const found = name === undefined ? usable[0] : usable.find((kernel) => kernel.name === name);
  if (found === undefined) {
    throw new RangeError(
      `Cannot run kernel ${name} for ${family}: this adapter runs ${
        usable.map((kernel) => kernel.name).join(", ")
      }; take one of these`,
    );
  }
  gpu.chosenKernels?.set(exact, { size, name: found.name });
  return found;
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
  return adapter.software ? directFor(params, subgroup) : tileFor(params);
}

/** The block of least estimated time; the first of equals. */
function directFor(params: Params, subgroup: number): string {
  const blocks = DIRECT_BLOCKS.filter((block) => !block.subgroup || block.lanes === subgroup);
  const times = blocks.map((block) => directTime(block, params));
  return directName(blocks[times.indexOf(Math.min(...times))]);
}

// Nanoseconds of one core for vectors of eight, as measured on lavapipe (AVX2-class CPU).
const LOAD = 5;
const MULTIPLY_ADD = 1;
const STORE = 8;
const GROUP = 300;

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

/** The largest tile that gives every multiprocessor work; the smallest where none does. */
function tileFor({ m, n, batch_i, batch_j }: Params): string {
  const groups = ({ tile }: Tile) => Math.ceil(m / tile) * Math.ceil(n / tile) * batch_i * batch_j;
  return tiledName(TILES.find((tile) => groups(tile) >= BUSY) ?? TILES[TILES.length - 1]);
}
