/**
 * What publishing would send: `deno publish --dry-run`, its files and their sizes.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

/** One file of the package. */
export interface PackageFile {
  /** Path in the package. */
  readonly path: string;
  readonly bytes: number;
}

/** What the dry run said. */
export interface DryRun {
  readonly ok: boolean;
  readonly output: string;
  readonly files: readonly PackageFile[];
}

/**
 * Runs `deno publish --dry-run`, which refuses slow types and modules that the package lacks.
 *
 * Where stand-ins are linked for @std, they lie in the project's folder without being part of it,
 * which publishing refuses; the dry run then happens in a copy, out of which the links lead.
 */
export async function publishDryRun(): Promise<DryRun> {
  const links = await Array.fromAsync(Deno.readDir(".jsr")).catch(() => []);
  if (links.length === 0) return await dryRunIn(Deno.cwd());
  const copy = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const path of config.publish.include) await copyInto(copy, path);
    const linked = { ...config, links: config.links.map((path) => `${Deno.cwd()}/${path}`) };
    await Deno.writeTextFile(`${copy}/deno.json`, JSON.stringify(linked));
    return await dryRunIn(copy);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

async function dryRunIn(root: string): Promise<DryRun> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    // Types are checked by a stage of their own; slow types are looked for all the same.
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  const files = [...output.matchAll(/^ +(file:\/\/\S+) \([\d.]+[KM]?B\)$/gm)].map(([, url]) => {
    const path = decodeURIComponent(new URL(url).pathname).slice(root.length + 1);
    return { path, bytes: Deno.statSync(path).size };
  });
  return { ok: success, output, files };
}

async function copyInto(folder: string, path: string): Promise<void> {
  if ((await Deno.stat(path)).isFile) return await Deno.copyFile(path, `${folder}/${path}`);
  await Deno.mkdir(`${folder}/${path}`, { recursive: true });
  for await (const { name } of Deno.readDir(path)) await copyInto(folder, `${path}/${name}`);
}

if (import.meta.main) {
  const { ok, output, files } = await publishDryRun();
  if (ok) {
    for (const { path, bytes } of files) console.log(`${`${bytes}`.padStart(8)}  ${path}`);
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    console.log(`${config.name}@${config.version}: ${files.length} files, ${total} bytes`);
  } else console.log(output);
  Deno.exit(ok ? 0 : 1);
}
