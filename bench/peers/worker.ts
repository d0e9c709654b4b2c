/**
 * The engines that run in a Deno process of their own, by name.
 *
 * @module
 */

import { openJax } from "./jax.ts";
import { openOrt } from "./ort.ts";
import { openOurs } from "./ours.ts";
import { type Engine, serve } from "./protocol.ts";
import { openTfjs } from "./tfjs.ts";

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  "ours": openOurs,
  "jax": openJax,
  "tfjs": openTfjs,
  "ort": () => openOrt("cpu"),
  "ort-webgpu": () => openOrt("webgpu"),
};

/** Names of the engines. */
export const engineNames: readonly string[] = Object.keys(ENGINES);

/** Serves one until its input ends. */
export async function serveEngine(name: string): Promise<void> {
  await serve(ENGINES[name]);
}
