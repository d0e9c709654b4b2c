/**
 * Times variants of a kernel on synthetic operands.
 *
 * @module
 */

import { type Kernel, packParams, type Params } from "../../kernels/kernel.ts";
import type { KernelChoice } from "../graph/node.ts";
import type { Gpu } from "./device.ts";
import { timePasses } from "./profile.ts";
import type { KernelUse } from "./tuning.ts";

/** Rounds in which the variants take turns. */
const ROUNDS = 5;

/**
 * Microseconds that a variant's share of a round should take: many times what a clock is off by. By
 * the host's, a wait alone takes some 10 ms.
 */
const SHARE = { device: 2e3, host: 1e5 } as const;

/** Launches of a share at most. */
const MOST_LAUNCHES = 256;

/** Bytes that the operands may take in all. */
const MOST_BYTES = 2 ** 30;

/**
 * Runs each variant on the same random operands, compares its outputs with the first one's, and times
 * those that agree, in turns.
 *
 * Operands are in full precision, also where a plan stores them in half of it.
 *
 * @param isOver Asked between launches whether to give up.
 * @returns Microseconds of a launch, [variants][rounds], none for a variant of other bits; null where
 *   the time is over, or the operands are larger than what is measured.
 */
export async function timeVariants(
  gpu: Gpu,
  { params }: KernelChoice,
  { operands }: KernelUse,
  variants: readonly Kernel[],
  isOver: () => boolean,
): Promise<number[][] | null> {
  const [{ reads, writes }] = variants;
  const sizes = new Map(
    [...Object.keys(reads), ...Object.keys(writes)].map((name) =>
      [name, Math.ceil(operands[name] / 4) * 16] as const // whole vectors of four
    ),
  );
  const bytes = [...sizes.values()];
  const isLarge = bytes.reduce((a, b) => a + b, 0) > MOST_BYTES ||
    Math.max(...bytes) > gpu.maxBinding;
  if (isLarge || bytes.some(Number.isNaN)) return null;
  using memory = new Memory(gpu, sizes);
  const launches = variants.map((kernel) => memory.launch(kernel, params));
  const written = Object.keys(writes);
  let expected: Uint32Array | null = null;
  const agreeing: boolean[] = [];
  for (const launch of launches) {
    written.forEach((name) => memory.fill(name));
    const found = await memory.run(launch, written);
    expected ??= found;
    agreeing.push(sameBits(expected, found));
    if (isOver()) return null;
  }
  const own = launches.filter((_, i) => agreeing[i]);
  const clock = clockOf(gpu);
  const [once] = await clock.time([launches[0]], 1);
  const count = Math.min(MOST_LAUNCHES, Math.max(1, Math.ceil(clock.share / Math.max(once, 1))));
  const times: number[][] = own.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    if (isOver()) return null;
    (await clock.time(own, count)).forEach((time, i) => times[i].push(time / count));
  }
  gpu.check();
  return agreeing.map((agrees) => agrees ? times.shift()! : []);
}

type Launch = (pass: GPUComputePassEncoder) => void;

interface Clock {
  /** Microseconds that a variant's share of a round should take. */
  readonly share: number;
  /** Microseconds of so many launches of each. */
  time(launches: readonly Launch[], count: number): Promise<number[]>;
}

/** The device's own clock, where it has one; else the host's. */
function clockOf({ device }: Gpu): Clock {
  const repeat = (launch: Launch, count: number): Launch => (pass) => {
    for (let i = 0; i < count; i++) launch(pass);
  };
  if (device.features.has("timestamp-query")) {
    const time = (launches: readonly Launch[], count: number) =>
      timePasses(device, launches.map((launch) => repeat(launch, count)));
    return { share: SHARE.device, time };
  }
  return {
    share: SHARE.host,
    time: async (launches, count) => {
      const times: number[] = [];
      for (const launch of launches) {
        const started = performance.now();
        submit(device, repeat(launch, count));
        await device.queue.onSubmittedWorkDone();
        times.push(1000 * (performance.now() - started));
      }
      return times;
    },
  };
}

function submit(device: GPUDevice, record: Launch): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  record(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

/** Operands of one class of launches, and what else these take; freed when disposed of. */
class Memory {
  readonly #gpu: Gpu;
  readonly #operands: ReadonlyMap<string, GPUBuffer>;
  readonly #uniforms: GPUBuffer[] = [];

  /** @param sizes Bytes of each operand. */
  constructor(gpu: Gpu, sizes: ReadonlyMap<string, number>) {
    this.#gpu = gpu;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#operands = new Map(
      [...sizes].map((
        [name, size],
      ) => [name, gpu.device.createBuffer({ label: name, size, usage })]),
    );
    for (const name of sizes.keys()) this.fill(name);
  }

  /** Fills an operand with the values that it started from. */
  fill(name: string): void {
    const buffer = this.#operands.get(name)!;
    for (let at = 0; at < buffer.size; at += VALUES.byteLength) {
      const count = Math.min(VALUES.byteLength, buffer.size - at) / 4;
      this.#gpu.device.queue.writeBuffer(buffer, at, VALUES, 0, count);
    }
  }

  /** A launch over the whole grid. */
  launch(kernel: Kernel, params: Params): Launch {
    const { device } = this.#gpu;
    const { pipeline, layout } = this.#gpu.pipeline(kernel);
    const groups = kernel.workgroups(params, kernel.tune);
    const values = packParams(kernel, params, groups);
    const uniform = device.createBuffer({
      label: "params",
      size: values.length,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(uniform, 0, values);
    this.#uniforms.push(uniform);
    const names = [...Object.keys(kernel.reads), ...Object.keys(kernel.writes)];
    const buffers = [...names.map((name) => this.#operands.get(name)!), uniform];
    const bindGroup = device.createBindGroup({
      layout,
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const y = Math.ceil(groups / device.limits.maxComputeWorkgroupsPerDimension);
    return (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(Math.ceil(groups / y), y);
    };
  }

  /** Runs a launch and reads what it wrote. */
  async run(launch: Launch, written: readonly string[]): Promise<Uint32Array> {
    const { device } = this.#gpu;
    submit(device, launch);
    const buffers = written.map((name) => this.#operands.get(name)!);
    const staging = device.createBuffer({
      label: "outputs",
      size: buffers.reduce((sum, { size }) => sum + size, 0),
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    try {
      const encoder = device.createCommandEncoder();
      let at = 0;
      for (const buffer of buffers) {
        encoder.copyBufferToBuffer(buffer, 0, staging, at, buffer.size);
        at += buffer.size;
      }
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      return new Uint32Array(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }

  [Symbol.dispose](): void {
    for (const buffer of [...this.#operands.values(), ...this.#uniforms]) buffer.destroy();
  }
}

/**
 * Numbers from −½ to ½ of all bits, repeated over an operand; their count has no factor in common with
 * the sizes of rows.
 */
const VALUES: Float32Array<ArrayBuffer> = (() => {
  const values = new Float32Array(65521);
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    values[i] = state / 2 ** 32 - 0.5;
  }
  return values;
})();

/** Whether two outputs are the same to the bit; a NaN is like any other. */
function sameBits(a: Uint32Array, b: Uint32Array): boolean {
  const isNan = (bits: number) => (bits & 0x7fffffff) > 0x7f800000;
  return a.every((bits, i) => bits === b[i] || (isNan(bits) && isNan(b[i])));
}
