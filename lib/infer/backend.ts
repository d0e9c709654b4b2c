/**
 * Which backend scores: a GPU through WebGPU, or ONNX Runtime.
 *
 * @module
 */

import { type AdapterDescription, describeAdapter, findAdapter } from "../gpu/adapter.ts";

/** What scores texts: WebGPU, or ONNX Runtime. */
export type Backend = "webgpu" | "ort";

/** Every backend. */
export const backends: readonly Backend[] = ["webgpu", "ort"];

/** A backend, and why it was taken. */
export interface BackendChoice {
  readonly backend: Backend;
  /** In words, for a note. */
  readonly reason: string;
}

/**
 * Takes the backend that is asked for; for `auto` a real GPU, and ONNX Runtime where there is none
 * or only an adapter that computes on the CPU.
 *
 * @param find The platform's adapter, or an error where it has none.
 */
export async function chooseBackend(
  asked: Backend | "auto",
  find: () => Promise<Pick<AdapterDescription, "description" | "software">> = platformAdapter,
): Promise<BackendChoice> {
  if (asked !== "auto") return { backend: asked, reason: "asked for" };
  const adapter = await find().catch(() => null);
  if (adapter === null) return { backend: "ort", reason: "no WebGPU adapter was found" };
  return adapter.software
    ? { backend: "ort", reason: `the only WebGPU adapter, ${adapter.description}, is software` }
    : { backend: "webgpu", reason: "a GPU was found" };
}

async function platformAdapter(): Promise<AdapterDescription> {
  return describeAdapter(await findAdapter());
}
