import config from "../../deno.json" with { type: "json" };
import { type Commit, commit, sourceDigest } from "./provenance.ts";
import type { AdapterRecord } from "./run_cell.ts";

/** What a run was made by and what it was allowed; the same for the same machine and command. */
export interface Environment {
  /** Version of this package. */
  package: string;
  /** Digest of its source; null where that is not at hand. */
  source?: string | null;
  /** The commit of that source, from the launcher; null where it told none. */
  git?: Commit | null;
  /** Version of Deno. */
  deno: string;
  /** Version of V8, which computes what the host computes. */
  v8: string;
  /** What device programs ran on; null where there were none. */
  adapter: AdapterRecord | null;
  /**
   * For each kind of permission: all of it, or limited (nothing, or only what was named: Deno
   * answers for a given path or name, and does not list them).
   */
  permissions: Record<string, "all" | "limited">;
}

const kinds = ["read", "write", "net", "env", "run", "ffi", "sys", "import"] as const;

/** Describes the running process. */
export function environment(adapter: AdapterRecord | null): Environment {
  return {
    package: config.version,
    source: sourceDigest(),
    git: commit(),
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    adapter,
    permissions: Object.fromEntries(kinds.map((name) => {
      const { state, partial } = Deno.permissions.querySync({ name });
      return [name, state === "granted" && !partial ? "all" : "limited"];
    })),
  };
}
