/**
 * What code a run was made by.
 *
 * @module
 */

import { digestJson, sha256 } from "../formats/digest.ts";

/** The state of the version control that the code was started from. */
export interface Commit {
  /** Git's name of the commit. */
  readonly commit: string;
  /** Whether the files were as the commit has them. */
  readonly clean: boolean;
}

/** Set by the launcher: the commit, and `modified` where the files differ from it. */
export const COMMIT_VARIABLE = "TUNEGRID_COMMIT";

/** Modules and folders whose code can change a result. */
const SOURCES = ["deno.json", "mod.ts", "lib", "kernels"];

let known: string | null | undefined;

/**
 * Digest of the package's source: of the paths and bytes of its modules. Null where these are no files
 * (a package from a registry, which its version tells) or may not be read.
 */
export function sourceDigest(): string | null {
  if (known === undefined) known = digestSource();
  return known;
}

function digestSource(): string | null {
  const root = new URL("../../", import.meta.url);
  if (root.protocol !== "file:") return null;
  const readable = SOURCES.every((name) => {
    const { state } = Deno.permissions.querySync({ name: "read", path: new URL(name, root) });
    return state === "granted";
  });
  if (!readable) return null;
  try {
    const paths = SOURCES.flatMap((name) => modules(root, name)).sort();
    return digestJson(paths.map((path) => [path, sha256(Deno.readFileSync(new URL(path, root)))]));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null; // Some of it is elsewhere.
    throw error;
  }
}

function modules(root: URL, path: string): string[] {
  if (!Deno.statSync(new URL(path, root)).isDirectory) return [path];
  return [...Deno.readDirSync(new URL(path, root))].flatMap(({ name, isDirectory }) =>
    isDirectory ? modules(root, `${path}/${name}`) : name.endsWith(".ts") ? [`${path}/${name}`] : []
  );
}

/** The commit that the launcher found; null where it told none, or this process may not know. */
export function commit(): Commit | null {
  const { state } = Deno.permissions.querySync({ name: "env", variable: COMMIT_VARIABLE });
  if (state !== "granted") return null;
  const [, hash, modified] = /^([0-9a-f]{40,64})( modified)?$/.exec(
    Deno.env.get(COMMIT_VARIABLE) ?? "",
  ) ?? [];
  return hash === undefined ? null : { commit: hash, clean: modified === undefined };
}
