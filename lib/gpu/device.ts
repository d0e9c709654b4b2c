/**
 * A WebGPU device with what the engine needs to know of it, and its pipelines cached by source.
 *
 * @module
 */

import type { Kernel, Tune } from "../../kernels/kernel.ts";
import { type AdapterDescription, describeAdapter, findAdapter } from "./adapter.ts";
import type { ChosenKernel } from "./tuning.ts";

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBuffersPerShaderStage",
] as const;

/** Features that are used where the adapter has them: timestamps for profiles, half precision. */
const OPTIONAL_FEATURES = ["timestamp-query", "shader-f16"] as const;

/** A compiled kernel and the layout of its bindings. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** An open device. Destroy it when done: WebGPU frees nothing in time by itself. */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  /** Largest storage binding, bytes; smaller than the adapter's where a test asks for it. */
  readonly maxBinding: number;
  /** Subgroup size that kernels may rest on; 0 where there is none. */
  readonly subgroup: number;
  /** Kernels chosen by measurement, by `choiceKey`, in place of the rule's; see `tuning.ts`. */
  readonly kernelChoices: Map<string, string> = new Map();
  /** Kernels chosen so far, by exact sizes, with the class that these belong to. */
  readonly chosenKernels: Map<string, ChosenKernel> = new Map();
  readonly #pipelines = new Map<string, Pipeline>();
  /** The same by kernel and constants, as writing a source to look it up takes longer than the rest. */
  readonly #known = new WeakMap<Kernel, Map<string, Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #error: string | null = null;
  #lost: string | null = null;
  #closed = false;

  /** Wraps an open device; see {@linkcode openGpu}. */
  constructor(device: GPUDevice, adapter: AdapterDescription, maxBinding?: number, subgroup = 0) {
    this.device = device;
    this.adapter = adapter;
    this.subgroup = subgroup;
    const limit = device.limits.maxStorageBufferBindingSize;
    this.maxBinding = Math.min(maxBinding ?? limit, limit);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#error ??= (event as GPUUncapturedErrorEvent).error.message;
    });
    device.lost.then((info) => {
      if (!this.#closed) this.#lost = info.message || "no reason given";
    });
  }

  /**
   * Throws what the device has reported since it was opened.
   *
   * @throws Error with the first validation or memory error, or the reason why the device was lost.
   */
  check(): void {
    if (this.#lost !== null) {
      throw new Error(
        `Cannot go on: the GPU device was lost (${this.#lost}); start the same command again: ` +
          "finished cells are kept, and a begun one goes on from its last checkpoint",
      );
    }
    if (this.#error !== null) throw new Error(`Cannot go on: the GPU reported: ${this.#error}`);
  }

  /** The pipeline of a kernel under some constants; compiled once per source. */
  pipeline(kernel: Kernel, tune: Tune = kernel.tune): Pipeline {
    const known = this.#known.get(kernel) ?? new Map<string, Pipeline>();
    this.#known.set(kernel, known);
    const constants = JSON.stringify(tune);
    const found = known.get(constants) ?? this.#compiled(kernel, tune);
    known.set(constants, found);
    return found;
  }

  #compiled(kernel: Kernel, tune: Tune): Pipeline {
    const code = kernel.source(tune);
    const cached = this.#pipelines.get(code);
    if (cached !== undefined) return cached;
    const layout = this.#layout(
      Object.keys(kernel.reads).length,
      Object.keys(kernel.writes).length,
    );
    const pipeline = this.device.createComputePipeline({
      label: kernel.name,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: {
        module: this.device.createShaderModule({ label: kernel.name, code }),
        entryPoint: "main",
      },
    });
    const entry = { pipeline, layout };
    this.#pipelines.set(code, entry);
    return entry;
  }

  #layout(reads: number, writes: number): GPUBindGroupLayout {
    const key = `${reads}/${writes}`;
    const cached = this.#layouts.get(key);
    if (cached !== undefined) return cached;
    const entry = (binding: number, type: GPUBufferBindingType) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    });
    const entries = [
      ...Array.from({ length: reads }, (_, i) => entry(i, "read-only-storage")),
      ...Array.from({ length: writes }, (_, i) => entry(reads + i, "storage")),
      entry(reads + writes, "uniform"),
    ];
    const layout = this.device.createBindGroupLayout({ entries });
    this.#layouts.set(key, layout);
    return layout;
  }

  /** The limits that it was opened with, of those that the engine asks for. */
  get limits(): Record<string, number> {
    return Object.fromEntries(LIMITS.map((name) => [name, this.device.limits[name]]));
  }

  /** Closes the device. */
  destroy(): void {
    this.#closed = true;
    this.device.destroy();
  }
}

/**
 * Opens a device with the adapter's own limits (WebGPU's defaults are far lower).
 *
 * @param options.maxBinding Pretend that storage bindings are limited to this many bytes.
 * @throws Error where there is no adapter, with the way to one.
 */
export async function openGpu(options: { maxBinding?: number } = {}): Promise<Gpu> {
  const adapter = await findAdapter();
  const description = describeAdapter(adapter);
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  const optional = OPTIONAL_FEATURES.filter((name) => adapter.features.has(name));
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ requiredLimits, requiredFeatures: [...optional, ...requiredFeatures] });
  // Subgroups are probed by asking, as some adapters that have them do not list them.
  const { subgroupMinSize: size, subgroupMaxSize } = adapter.info;
  if (description.software && size > 1 && size === subgroupMaxSize) {
    const device = await request(["subgroups"]).catch(() => null);
    if (device !== null) return new Gpu(device, description, options.maxBinding, size);
  }
  return new Gpu(await request([]), description, options.maxBinding);
}
