/**
 * Prints what the machine and the set-up offer; exits with 1 where there is no adapter.
 *
 * @module
 */

import { describeAdapter, findAdapter } from "../lib/gpu/adapter.ts";

const vulkanFolders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Vulkan drivers by their manifests: WebGPU does not tell which of them answered. */
function vulkanDrivers(): string[] {
  return vulkanFolders.filter(exists).flatMap((folder) =>
    [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".json")).map(({ name }) => {
      try {
        const { ICD } = JSON.parse(Deno.readTextFileSync(`${folder}/${name}`));
        return `${ICD.library_path} (Vulkan ${ICD.api_version})`;
      } catch {
        return `${name} (manifest cannot be read)`;
      }
    })
  ).sort();
}

/** Asks for a device with subgroups: some adapters have them without listing them. */
async function hasSubgroups(): Promise<boolean> {
  try {
    const adapter = await findAdapter();
    const feature = "subgroups" as GPUFeatureName;
    const device = await adapter.requestDevice({ requiredFeatures: [feature] });
    device.destroy();
    return true;
  } catch {
    return false;
  }
}

function show(name: string, value: string): void {
  console.log(`${name.padEnd(12)}${value}`);
}

const { deno, v8, typescript } = Deno.version;
show("Deno", `${deno} (V8 ${v8}, TypeScript ${typescript})`);
show("Platform", `${Deno.build.os} ${Deno.build.arch}`);
show(
  "@std",
  exists(".jsr/cli/deno.json") ? "stand-ins of lib/std, linked from .jsr" : "packages from JSR",
);
const fixtures = Deno.env.get("TUNEGRID_FIXTURES") || "../shared";
const found = ["golden", "data"].filter((name) => exists(`${fixtures}/${name}`));
show(
  "Fixtures",
  found.length > 0
    ? `${fixtures} (${found.join(", ")})`
    : `not found in ${fixtures}; name their folder in TUNEGRID_FIXTURES`,
);
const drivers = vulkanDrivers();
if (drivers.length > 0) show("Drivers", drivers.join("\n".padEnd(13)));
show("Backend", Deno.env.get("DENO_WEBGPU_BACKEND") || "chosen by Deno (DENO_WEBGPU_BACKEND)");

try {
  const adapter = describeAdapter(await findAdapter());
  show("Adapter", `${adapter.description} (vendor ${adapter.vendor}, device ${adapter.device})`);
  show("Kind", adapter.software ? "software: computes on the CPU" : "hardware");
  show("Subgroups", await hasSubgroups() ? "yes" : "no");
  show("Features", adapter.features.join("\n".padEnd(13)));
  console.log("Limits");
  for (const [name, value] of Object.entries(adapter.limits)) {
    console.log(`  ${name.padEnd(42)}${value}`);
  }
} catch (error) {
  show("Adapter", "none");
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
}
