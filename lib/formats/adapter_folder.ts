import { openAdapterHub } from "./adapterhub.ts";
import type { ForeignDelta } from "./delta.ts";
import { isFile } from "./huggingface.ts";
import { openOpenDelta } from "./opendelta.ts";
import { openOwnDelta, OWN_CONFIG } from "./own_delta.ts";
import { openPeft } from "./peft.ts";

/** What tells a method's folder from another kind, by the file that holds its tensors. */
const KINDS: Readonly<Record<string, (dir: string) => Promise<ForeignDelta>>> = {
  "adapter.safetensors": openAdapterHub,
  "adapter_model.safetensors": openPeft,
  "delta.safetensors": async (dir) =>
    await isFile(`${dir}/${OWN_CONFIG}`) ? await openOwnDelta(dir) : await openOpenDelta(dir),
};

/**
 * Opens a folder that holds a trained delta, whichever of the libraries saved it: PEFT, AdapterHub,
 * OpenDelta, or this project.
 *
 * @returns Null where the folder holds none.
 * @throws Error where it holds several or half of one, and what the kind's own reader throws.
 */
export async function openAdapterFolder(dir: string): Promise<ForeignDelta | null> {
  const found: string[] = [];
  for (const file of Object.keys(KINDS)) {
    if (await isFile(`${dir}/${file}`)) found.push(file);
  }
  if (found.length > 1) {
    throw new Error(`Cannot use ${dir}: it has more than one of ${Object.keys(KINDS).join(", ")}`);
  }
  if (found.length === 1) return await KINDS[found[0]](dir);
  if (!await isFile(`${dir}/adapter_config.json`)) return null;
  throw new Error(
    `Cannot use ${dir}: adapter_config.json is there, but neither adapter_model.safetensors nor adapter.safetensors`,
  );
}
