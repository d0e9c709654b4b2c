import { datasetInfo, listFiles, modelInfo } from "@huggingface/hub";
import { ioReason } from "../formats/io_error.ts";
import { downloadFile } from "./download.ts";
import { type Asked, HubError } from "./hub_error.ts";
import { checkedFetch, type HubAccess } from "./hub_fetch.ts";
import { checkNames, type Repository } from "./repository.ts";
import { selectFiles } from "./select_files.ts";
import {
  HUB_CACHE,
  isCommit,
  markComplete,
  readComplete,
  type Snapshot,
  snapshotFolder,
  unmark,
  writeRef,
} from "./snapshot.ts";
import type { RemoteFile } from "./verify.ts";

/** Listens to a download. */
export interface FetchReporter {
  /** Before the first byte: all files that there shall be. */
  start(snapshot: Snapshot, folder: string): void;
  /** Bytes of a file that are here. */
  bytes(file: RemoteFile, bytes: number): void;
  /** A file is whole. */
  done(file: RemoteFile): void;
}

/** What to fetch. */
export interface FetchOptions {
  /** The base or data set. */
  readonly repository: Repository;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** How the Hub is reached. */
  readonly access: HubAccess;
  /** A folder of one's own in place of one in the cache. */
  readonly to?: string;
  /** The cache's folder. */
  readonly cache?: string;
  /** Told of what comes. */
  readonly reporter?: FetchReporter;
}

/** What was fetched. */
export interface Fetched {
  /** Where it lies. */
  readonly folder: string;
  /** What lies there. */
  readonly snapshot: Snapshot;
  /** Whether all of it was there already. */
  readonly kept: boolean;
}

/**
 * Brings a base or data set of the Hub into the cache, or into a folder.
 *
 * Every file is verified by size and digest before it gets its name, and the folder is marked as
 * whole after the last one. What an earlier try left is gone on with; a commit that is here whole is
 * not asked for again. Of several processes that fetch the same, one does the work.
 *
 * @throws {HubError} If the Hub refuses, cannot be reached, or gives other bytes than it lists.
 * @throws {RangeError} If the repository has no files of a kind that is read.
 * @throws {Error} If a file cannot be written.
 */
export async function fetchSnapshot(options: FetchOptions): Promise<Fetched> {
  const { repository, revision, access, to, cache = HUB_CACHE } = options;
  checkNames(repository.id, revision);
  const folderOf = (commit: string) => to ?? snapshotFolder(cache, repository, commit);
  if (isCommit(revision)) {
    const snapshot = await readComplete(folderOf(revision), { ...repository, commit: revision });
    if (snapshot !== null) return { folder: folderOf(revision), snapshot, kept: true };
  }
  const asked = { repository, revision, hasToken: access.token !== null };
  const commit = await commitOf(asked, access);
  const folder = folderOf(commit);
  try {
    await Deno.mkdir(folder, { recursive: true });
    using lock = await Deno.open(`${folder}/.lock`, { write: true, create: true });
    await lock.lock(true);
    const known = await readComplete(folder, { ...repository, commit });
    const snapshot = known ?? await download({ ...asked, revision: commit }, folder, options);
    if (to === undefined && !isCommit(revision)) {
      await writeRef(cache, repository, revision, commit);
    }
    return { folder, snapshot, kept: known !== null };
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Cannot ")) throw error;
    throw new Error(`Cannot write ${folder}: ${ioReason(error)}`, { cause: error });
  }
}

type AskedAt = Asked & { readonly revision: string };

/** The commit that a revision stands for now. */
async function commitOf(asked: AskedAt, access: HubAccess): Promise<string> {
  const { repository: { kind, id }, revision } = asked;
  const params = {
    name: id,
    revision,
    additionalFields: ["sha" as const],
    hubUrl: access.url,
    fetch: checkedFetch(access, `fetch ${id}`, asked),
  };
  const { sha } = kind === "model" ? await modelInfo(params) : await datasetInfo(params);
  if (isCommit(sha)) return sha;
  throw new HubError(`Cannot fetch ${id}: the Hub tells no commit of ${revision}`, 0);
}

async function download(
  asked: AskedAt,
  folder: string,
  { access, reporter }: FetchOptions,
): Promise<Snapshot> {
  const { repository, revision: commit } = asked;
  const listed: RemoteFile[] = [];
  const entries = listFiles({
    repo: { type: repository.kind, name: repository.id },
    revision: commit,
    recursive: repository.kind === "dataset",
    hubUrl: access.url,
    fetch: checkedFetch(access, `fetch ${repository.id}`, asked),
  });
  for await (const { type, path, size, oid, lfs } of entries) {
    const digest = lfs?.oid ?? oid ?? "";
    if (type !== "file") continue;
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(digest) || !Number.isSafeInteger(size)) {
      throw new HubError(
        `Cannot fetch ${repository.id}: the Hub lists ${path} without a size and digest`,
        0,
      );
    }
    listed.push({ path, size: lfs?.size ?? size, digest });
  }
  const snapshot = { ...repository, commit, files: selectFiles(repository, listed) };
  reporter?.start(snapshot, folder);
  await unmark(folder);
  for (const file of snapshot.files) {
    const target = `${folder}/${file.path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await downloadFile({
      file,
      target,
      asked,
      access,
      onBytes: (bytes) => reporter?.bytes(file, bytes),
    });
    reporter?.done(file);
  }
  await markComplete(folder, snapshot);
  return snapshot;
}
