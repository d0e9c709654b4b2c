import { writeFileAtomic } from "../formats/atomic.ts";
import { isJsonObject } from "../formats/strict_json.ts";
import type { Repository } from "./repository.ts";
import { type RemoteFile, sizeOf } from "./verify.ts";

/** Where snapshots are kept, below the folder that the process runs in. */
export const HUB_CACHE = ".cache/hub";

/** Written last: what has it is whole. */
const MARKER = ".complete.json";

/** A repository's files at one commit. */
export interface Snapshot extends Repository {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  /** Those of its files that are fetched. */
  readonly files: readonly RemoteFile[];
}

function repositoryFolder(cache: string, { kind, id }: Repository): string {
  return `${cache}/${kind}s/${id}`;
}

/** The folder of a repository's files at one commit. */
export function snapshotFolder(cache: string, repository: Repository, commit: string): string {
  return `${repositoryFolder(cache, repository)}/${commit}`;
}

function refFile(cache: string, repository: Repository, revision: string): string {
  return `${repositoryFolder(cache, repository)}/refs/${encodeURIComponent(revision)}`;
}

/** Notes the commit that a branch or tag meant when it was fetched. */
export async function writeRef(
  cache: string,
  repository: Repository,
  revision: string,
  commit: string,
): Promise<void> {
  await Deno.mkdir(`${repositoryFolder(cache, repository)}/refs`, { recursive: true });
  await writeFileAtomic(refFile(cache, repository, revision), `${commit}\n`);
}

/**
 * The folder of a revision that was fetched whole: by its commit, or by the branch or tag that it
 * was fetched by. Nothing is asked of the Hub.
 *
 * @returns null where there is none, or one that is not whole.
 */
export async function findSnapshot(
  repository: Repository,
  revision: string,
  cache: string = HUB_CACHE,
): Promise<string | null> {
  const commit = isCommit(revision)
    ? revision
    : (await Deno.readTextFile(refFile(cache, repository, revision)).catch(() => "")).trim();
  if (!isCommit(commit)) return null;
  const folder = snapshotFolder(cache, repository, commit);
  return await readComplete(folder, { ...repository, commit }) === null ? null : folder;
}

/** Whether a revision is a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/**
 * What a folder holds whole; null where it is not marked as a whole snapshot of that commit, or a
 * file of it is missing or has another size.
 */
export async function readComplete(
  folder: string,
  { kind, id, commit }: Repository & { readonly commit: string },
): Promise<Snapshot | null> {
  let marked: unknown;
  try {
    marked = JSON.parse(await Deno.readTextFile(`${folder}/${MARKER}`));
  } catch {
    return null;
  }
  if (!isJsonObject(marked) || !Array.isArray(marked.files)) return null;
  if (marked.kind !== kind || marked.id !== id || marked.commit !== commit) return null;
  const isEntry = (one: unknown): one is RemoteFile =>
    isJsonObject(one) && typeof one.path === "string" && typeof one.size === "number";
  const files: unknown[] = marked.files;
  if (!files.every(isEntry)) return null;
  for (const { path, size } of files) {
    // A name that no file can have is that of none.
    if (await sizeOf(`${folder}/${path}`).catch(() => null) !== size) return null;
  }
  return { kind, id, commit, files };
}

/** Marks a folder as whole. */
export async function markComplete(folder: string, snapshot: Snapshot): Promise<void> {
  await writeFileAtomic(`${folder}/${MARKER}`, `${JSON.stringify(snapshot, null, 2)}\n`);
}

/** Takes the mark away, before anything in the folder changes. */
export async function unmark(folder: string): Promise<void> {
  await Deno.remove(`${folder}/${MARKER}`).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
