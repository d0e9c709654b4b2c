/**
 * Finding a WebGPU adapter, and saying plainly where there is none.
 *
 * @module
 */

import type { Precision } from "../graph/precision.ts";

/** What an adapter tells of itself. WebGPU does not tell the driver's version. */
export interface AdapterDescription {
  readonly description: string;
  readonly vendor: string;
  readonly device: string;
  /** Whether it computes on the CPU (lavapipe). */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/**
 * The adapter that the platform prefers for heavy work.
 *
 * @throws Error where there is none, with the way to one.
 */
export async function findAdapter(): Promise<GPUAdapter> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new Error(
      "Cannot find a WebGPU adapter: no Vulkan, Metal or DirectX 12 driver answered; on Debian or Ubuntu without a GPU run: apt-get install mesa-vulkan-drivers libvulkan1",
    );
  }
  return adapter;
}

/**
 * Refuses half precision on an adapter that lacks it.
 *
 * @throws Error with what the adapter offers, and the way out.
 */
export function checkPrecision(
  precision: Precision,
  { description, features }: Pick<AdapterDescription, "description" | "features">,
): void {
  if (precision === "f32" || features.includes("shader-f16")) return;
  throw new Error(
    `Cannot run with --precision f16: it takes the feature shader-f16, and ${description} offers ${
      features.join(", ") || "none"
    }; use --precision f32`,
  );
}

/** An adapter's facts as a plain record. */
export function describeAdapter(adapter: GPUAdapter): AdapterDescription {
  const { description, vendor, device, isFallbackAdapter } = adapter.info;
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[name] = value;
  }
  return {
    description,
    vendor,
    device,
    software: isFallbackAdapter,
    features: [...adapter.features].sort(),
    limits,
  };
}
