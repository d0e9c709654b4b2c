/**
 * Which of several kernels of one class runs on this adapter.
 *
 * The choice is a pure function of the adapter's kind, the family and the sizes, so that the same
 * program picks the same kernels, and gives the same bits, in every run. A measured choice takes
 * precedence where `gpu.kernelChoices` holds one; whoever fills that map must store it with the run.
 *
 * @module
 */

import type { Kernel, Params } from "../../kernels/kernel.ts";
import { DIRECT_BLOCKS, type DirectBlock, directName } from "../../kernels/matmul_direct.ts";
import { type Tile, tiledName, TILES } from "../../kernels/matmul_tiled.ts";
import type { KernelChoice } from "../graph/node.ts";
import type { Gpu } from "./device.ts";

/** What the choice needs to know of a device. */
export type Tuned = Pick<Gpu, "adapter" | "subgroup" | "kernelChoices">;

/**
 * The kernel to run for a choice: the measured one, or the rule's.
 *
 * @throws RangeError where a measured choice names a kernel that the device does not run.
 */
export function chooseKernel(gpu: Tuned, choice: KernelChoice): Kernel {
  const [family] = choice.family.split(" ");
  const pinned = gpu.kernelChoices.get(choiceKey(choice)) ?? gpu.kernelChoices.get(family);
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
  return found;
}

/** Family and size class of a choice: sizes are rounded up to powers of two. */
export function choiceKey({ family, params }: KernelChoice): string {
  const sizes = ["m", "n", "k", "batch_i", "batch_j"].filter((name) => name in params).map(
    (name) => `${name}${2 ** Math.ceil(Math.log2(Math.max(params[name], 1)))}`,
  );
  return [family, ...sizes].join(" ");
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
