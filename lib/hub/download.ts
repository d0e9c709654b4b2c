import { writeFileAtomic } from "../formats/atomic.ts";
import { ioReason } from "../formats/io_error.ts";
import { type Asked, HubError, refusal } from "./hub_error.ts";
import { connectionReason, type HubAccess, hubFetch, TRIES } from "./hub_fetch.ts";
import { repositoryUrl } from "./repository.ts";
import { difference, type RemoteFile, sizeOf } from "./verify.ts";

/** What to download, and where to. */
export interface Download {
  /** As the Hub lists it. */
  readonly file: RemoteFile;
  /** The repository at its commit. */
  readonly asked: Asked & { readonly revision: string };
  /** Where the file shall lie; its folder must exist. */
  readonly target: string;
  /** How the Hub is reached. */
  readonly access: HubAccess;
  /** Told how many bytes are here. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Downloads a file of a repository, going on with what an earlier try left.
 *
 * Bytes go to `TARGET.part`, with a note beside it (`TARGET.part.etag`) of the ETag whose bytes they
 * are. Only when size and digest are right, the part is synchronised to the disk and renamed: what
 * has the target's name is whole.
 *
 * @throws {HubError} If the Hub refuses, its answers break off again and again, or what came is not
 * what it lists (the part is then deleted).
 * @throws {Error} If the file cannot be written.
 */
export async function downloadFile(download: Download): Promise<void> {
  const { file, target, onBytes } = download;
  const part = `${target}.part`;
  try {
    if (await sizeOf(target) !== null) {
      if (await difference(target, file) === null) {
        await discard(part); // A note may be left of a process that was ended.
        return onBytes?.(file.size);
      }
      await Deno.remove(target);
    }
    await openPart(part, file.digest);
    await fill(part, download);
    const wrong = await difference(part, file);
    if (wrong !== null) {
      await discard(part);
      throw new HubError(
        `Cannot fetch ${file.path}: its ${wrong}; what came is deleted, start again`,
        0,
      );
    }
    using whole = await Deno.open(part, { read: true, write: true });
    await whole.sync();
    await Deno.rename(part, target);
    await Deno.remove(noteOf(part));
  } catch (error) {
    if (error instanceof HubError) throw error;
    throw new Error(`Cannot write ${target}: ${ioReason(error)}`, { cause: error });
  }
}

function noteOf(part: string): string {
  return `${part}.etag`;
}

async function discard(part: string): Promise<void> {
  for (const path of [part, noteOf(part)]) {
    await Deno.remove(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** Keeps a part whose note says that it is of these bytes, and none other. */
async function openPart(part: string, etag: string): Promise<void> {
  const note = await Deno.readTextFile(noteOf(part)).catch(() => null);
  if (note !== etag) await discard(part);
  await writeFileAtomic(noteOf(part), etag);
}

/** Asks for what is missing until nothing is; a try that brings more than was ever here is free. */
async function fill(part: string, download: Download): Promise<void> {
  const { file, access } = download;
  let most = await sizeOf(part) ?? 0;
  for (let fruitless = 0;;) {
    const before = await sizeOf(part) ?? 0;
    if (before > file.size) await Deno.truncate(part, 0);
    else if (before === file.size && before > 0) return;
    let reason: string;
    try {
      await append(part, before > file.size ? 0 : before, download);
      if ((await sizeOf(part) ?? 0) >= file.size) return;
      reason = "the answer ended early";
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      reason = error.message;
    }
    const after = await sizeOf(part) ?? 0;
    fruitless = after > most ? 0 : fruitless + 1;
    most = Math.max(most, after);
    if (fruitless === TRIES) {
      throw new HubError(
        `Cannot fetch ${file.path}: ${reason}, ${TRIES} times; start again: what has come is kept`,
        0,
      );
    }
    await new Promise((done) => setTimeout(done, (access.backoff ?? 500) * 2 ** fruitless));
  }
}

/** The connection broke while bytes came. */
class Cut extends Error {}

/** One request: from the part's end, or from the start where the server gives no ranges. */
async function append(
  part: string,
  from: number,
  { file, asked, access, onBytes }: Download,
): Promise<void> {
  const controller = new AbortController();
  const base = repositoryUrl(asked.repository, access.url);
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const answer = await hubFetch(access)(
    `${base}/resolve/${encodeURIComponent(asked.revision)}/${path}`,
    {
      signal: controller.signal,
      // Compressed, neither size nor ranges would be those of the file.
      headers: { "Accept-Encoding": "identity", ...from > 0 ? { Range: `bytes=${from}-` } : {} },
    },
  );
  const [, first, total] =
    /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "") ?? [];
  const isRange = answer.status === 206 && Number(first) === from && Number(total) === file.size;
  if (!isRange && answer.status !== 200) {
    await answer.body?.cancel();
    if (answer.status === 206 || answer.status === 416) {
      await Deno.truncate(part, 0).catch(() => {});
      throw new Cut("the server gave another range than was asked for");
    }
    throw new HubError(
      `Cannot fetch ${asked.repository.id}, ${file.path}: ${refusal(answer, asked)}`,
      answer.status,
    );
  }
  const at = isRange ? from : 0;
  const length = answer.headers.get("Content-Length");
  if (length !== null && at + Number(length) !== file.size) {
    await answer.body?.cancel();
    await discard(part);
    throw new HubError(
      `Cannot fetch ${file.path}: its size must be ${file.size} bytes, ` +
        `found ${at + Number(length)}; what came is deleted, start again`,
      0,
    );
  }
  await write(answer, part, at, file, controller, access.patience ?? 60_000, onBytes);
}

async function write(
  answer: Response,
  part: string,
  start: number,
  file: RemoteFile,
  controller: AbortController,
  patience: number,
  onBytes?: (bytes: number) => void,
): Promise<void> {
  using out = await Deno.open(part, { write: true, create: true, truncate: start === 0 });
  await out.seek(start, Deno.SeekMode.Start);
  let at = start;
  const stalled = () => controller.abort(new Error("no more bytes came in time"));
  let timer = setTimeout(stalled, patience);
  const reader = answer.body?.getReader();
  try {
    for (;;) {
      const { done, value } = await reader?.read().catch((error) => {
        throw new Cut(connectionReason(error));
      }) ?? { done: true, value: undefined };
      clearTimeout(timer);
      if (done || value === undefined) return await out.sync();
      at += value.length;
      if (at > file.size) {
        await discard(part);
        throw new HubError(
          `Cannot fetch ${file.path}: its size must be ${file.size} bytes, found more; ` +
            "what came is deleted, start again",
          0,
        );
      }
      for (let n = 0; n < value.length;) n += await out.write(value.subarray(n));
      onBytes?.(at);
      timer = setTimeout(stalled, patience);
    }
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}
