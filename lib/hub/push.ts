import { pathToFileURL } from "node:url";
import { createRepo, HubApiError, uploadFiles } from "@huggingface/hub";

import { ioReason } from "../formats/io_error.ts";
import { HubError, TOKENS_PAGE } from "./hub_error.ts";
import { checkedFetch, type HubAccess } from "./hub_fetch.ts";
import { checkNames, repositoryUrl } from "./repository.ts";

/** A file that is sent. */
export interface LocalFile {
  /** Path below the folder, with forward slashes. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The files of an exported folder that are sent: all, but those with a leading dot and those of
 * unfinished downloads.
 *
 * @throws {Error} If the folder cannot be read.
 * @throws {RangeError} If it is not an exported one: without the card, README.md.
 */
export async function filesToPush(folder: string): Promise<LocalFile[]> {
  const files: LocalFile[] = [];
  try {
    await collect(folder, "", files);
  } catch (error) {
    throw new Error(`Cannot read ${folder}: ${ioReason(error)}`, { cause: error });
  }
  if (!files.some(({ path }) => path === "README.md")) {
    throw new RangeError(
      `Cannot push ${folder}: it has no README.md, the card that every exported folder has; ` +
        "name a folder that deno task export made",
    );
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

async function collect(folder: string, below: string, files: LocalFile[]): Promise<void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${folder}/${below}`)) {
    if (name.startsWith(".") || /\.part(\.etag)?$/.test(name)) continue;
    const path = `${below}${name}`;
    if (isDirectory) await collect(folder, `${path}/`, files);
    else if (isFile) files.push({ path, size: (await Deno.stat(`${folder}/${path}`)).size });
  }
}

/** What to push, and where to. */
export interface PushOptions {
  /** An exported folder. */
  readonly folder: string;
  /** `owner/name`; made where it does not exist. */
  readonly id: string;
  /** Whether a repository that is made is private. */
  readonly private: boolean;
  /** How the Hub is reached; with a token. */
  readonly access: HubAccess;
}

/** What came of it. */
export interface Pushed {
  /** What was sent. */
  readonly files: readonly LocalFile[];
  /** The commit that holds it. */
  readonly commit: string;
  /** Whether the repository was made for it. */
  readonly made: boolean;
  /** Where it stands on the Hub. */
  readonly url: string;
}

/**
 * Uploads an exported folder to the Hub as one commit on `main`: all of it, or nothing.
 *
 * @throws {HubError} If there is no token, or the Hub refuses or cannot be reached.
 */
export async function pushFolder(
  { folder, id, private: isPrivate, access }: PushOptions,
): Promise<Pushed> {
  checkNames(id, "main");
  if (!id.includes("/")) {
    throw new TypeError(`Cannot push to ${id}: name it with its owner, as owner/${id}`);
  }
  const files = await filesToPush(folder);
  const { token, url: hubUrl } = access;
  if (token === null) {
    throw new HubError(
      `Cannot push to ${id}: no token; put one that may write (${TOKENS_PAGE}) into HF_TOKEN`,
      0,
    );
  }
  const repository = { kind: "model" as const, id };
  const repo = { type: repository.kind, name: id };
  const fetch = checkedFetch(access, `push to ${id}`, { repository, hasToken: true });
  let made = true;
  try {
    const visibility = isPrivate ? "private" : "public";
    await createRepo({ repo, visibility, accessToken: token, hubUrl, fetch });
  } catch (error) {
    if (!(error instanceof HubError && error.status === 409)) throw error;
    made = false; // It exists, and keeps its visibility.
  }
  // The token goes with `fetch`, to the Hub's origin alone; the client does not get it.
  const output = await uploadFiles({
    repo,
    files: files.map(({ path }) => ({ path, content: pathToFileURL(`${folder}/${path}`) })),
    commitTitle: "Upload a model tuned with Tunegrid",
    hubUrl,
    fetch,
  }).catch((error) => {
    if (!(error instanceof HubApiError)) throw error;
    const { statusCode } = error; // Its message has an address, which may be signed.
    throw new HubError(
      `Cannot push to ${id}: the Hub's storage answered with status ${statusCode}; nothing is ` +
        "committed, start again",
      statusCode,
    );
  });
  const commit = output?.commit.oid;
  if (commit === undefined) throw new HubError(`Cannot push to ${id}: the Hub tells no commit`, 0);
  return { files, commit, made, url: repositoryUrl(repository, hubUrl) };
}
