/**
 * Claims: of several processes on one folder, one runs a cell.
 *
 * A claim is a file in the run's folder, `claim-N.json`, that its holder keeps locked and writes anew
 * every few seconds. N is the fencing number: who takes a run over from a holder that is gone makes
 * N + 1, which exists once, and the holder of N finds that out before it writes. The name appears by a
 * hard link to a file that is locked already, so no claim is ever seen without its lock.
 *
 * A holder on the same host is gone when its lock is free, which the system sees to even where it was
 * killed. Locks need not reach other hosts: of those, one is gone when its file has not changed for
 * half a minute by the clock of the file system.
 *
 * @module
 */

import { ioReason } from "../formats/io_error.ts";
import { isJsonObject } from "../formats/strict_json.ts";

/** Seconds between two signs of life. */
const HEARTBEAT = 5;

/** Seconds without one after which a holder counts as gone. */
const STALE = 30;

/** A lock that is held speaks for a holder that is busy, or stopped: so many times as long. */
const LOCKED = 10;

const NAME = /^claim-(\d{1,15})\.json$/;

/** Another process has taken the run over: what this one found out does not count. */
export class TakenOver extends Error {
  override name = "TakenOver";
}

/** The right to run a cell, until it is released or taken over. */
export interface Claim {
  /** From 1; one more with every time that the run was taken over. */
  readonly number: number;
  /** @throws {TakenOver} When another process holds the run now */
  check(): Promise<void>;
  /** Lets others have the run. */
  release(): Promise<void>;
}

/** How long a claim lives without its holder; for tests. */
export interface ClaimTimes {
  /** Seconds between two signs of life. */
  readonly heartbeat: number;
  /** Seconds without one after which a holder counts as gone. */
  readonly stale: number;
}

/**
 * Claims a run.
 *
 * @param folder The run's folder, which is made where it does not exist.
 * @returns Null where another process holds the run.
 * @throws {Error} When the folder cannot be read or written
 */
export async function claimRun(
  folder: string,
  times: ClaimTimes = { heartbeat: HEARTBEAT, stale: STALE },
): Promise<Claim | null> {
  try {
    await Deno.mkdir(folder, { recursive: true });
    const latest = (await claims(folder)).at(-1);
    if (latest !== undefined && !await isGone(folder, latest, times.stale)) return null;
    return await make(folder, (latest ?? 0) + 1, times);
  } catch (error) {
    throw new Error(`Cannot claim ${folder}: ${ioReason(error)}`, { cause: error });
  }
}

function pathOf(folder: string, number: number): string {
  return `${folder}/claim-${number}.json`;
}

async function claims(folder: string): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const [, number] = NAME.exec(name) ?? [];
    if (number !== undefined) numbers.push(Number(number));
  }
  return numbers.sort((a, b) => a - b);
}

/** Null where this process may not know its host's name. */
function host(): string | null {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "hostname" });
  return state === "granted" ? Deno.hostname() : null;
}

async function make(folder: string, number: number, times: ClaimTimes): Promise<Claim | null> {
  const token = crypto.randomUUID();
  const since = new Date().toISOString();
  const text = JSON.stringify({ token, host: host(), pid: Deno.pid, since }) + "\n";
  const bytes = new TextEncoder().encode(text);
  const path = pathOf(folder, number);
  const temporary = `${folder}/.claim.${token}.tmp`;
  const file = await Deno.open(temporary, { read: true, write: true, createNew: true });
  const write = async () => {
    await file.seek(0, Deno.SeekMode.Start);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  };
  try {
    await write();
    await file.sync();
    await file.lock(true);
    await Deno.link(temporary, path);
  } catch (error) {
    file.close();
    if (error instanceof Deno.errors.AlreadyExists) return null;
    throw error;
  } finally {
    await Deno.remove(temporary).catch(() => {});
  }
  let beating: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // A sign of life that fails is none; whether the claim still holds, check() tells.
    beating = beating.then(write).catch(() => {});
  }, 1000 * times.heartbeat);
  Deno.unrefTimer(timer);
  const isOurs = async () =>
    (await claims(folder)).at(-1) === number && await tokenOf(path) === token;
  return {
    number,
    check: async () => {
      if (await isOurs()) return;
      throw new TakenOver(
        `Cannot go on with ${folder}: another process took it over, as this one had given no sign ` +
          `of life for ${times.stale} s; its result counts`,
      );
    },
    release: async () => {
      clearInterval(timer);
      await beating;
      try {
        if (!await isOurs()) return;
        // The last one last: until it is gone, nobody starts to count anew.
        for (const own of await claims(folder)) await Deno.remove(pathOf(folder, own));
      } finally {
        file.close();
      }
    },
  };
}

/** Who holds a run, as another process sees it. */
export interface ClaimStatus {
  /** The holder's host; null where it may not know its name, or the file cannot be read. */
  readonly host: string | null;
  /** The holder's process there; null where the file cannot be read. */
  readonly pid: number | null;
  /** When it took the run; null where the file does not say. */
  readonly since: Date | null;
  /** Seconds since its last sign of life. */
  readonly age: number;
  /** Whether it counts as alive; else who starts the sweep again takes the run over. */
  readonly live: boolean;
}

/**
 * Reads who holds a run; nothing is written, and no clock but this host's asked.
 *
 * @param now Milliseconds since the epoch
 * @returns Null where nobody does
 * @throws {Error} When the folder or its claim cannot be read
 */
export async function readClaim(folder: string, now: number): Promise<ClaimStatus | null> {
  try {
    const number = (await claims(folder)).at(-1);
    if (number === undefined) return null;
    const path = pathOf(folder, number);
    using file = await Deno.open(path);
    const free = await file.tryLock(false);
    const [{ mtime }, { host, pid, since }] = [await file.stat(), await read(path)];
    const age = Math.max(0, (now - mtime!.getTime()) / 1000);
    const begun = new Date(since ?? NaN);
    return {
      host,
      pid,
      since: Number.isNaN(begun.getTime()) ? null : begun,
      age,
      live: age <= STALE * (free ? 1 : LOCKED),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null; // Released in this moment.
    throw new Error(`Cannot read the claim of ${folder}: ${ioReason(error)}`, { cause: error });
  }
}

/** Whether the holder of a claim is gone, as far as can be known. */
async function isGone(folder: string, number: number, stale: number): Promise<boolean> {
  const path = pathOf(folder, number);
  try {
    using file = await Deno.open(path, { read: true, write: true });
    const free = await file.tryLock(true);
    if (free && host() !== null && (await read(path)).host === host()) return true;
    const { mtime } = await file.stat();
    const age = await now(folder) - mtime!.getTime();
    return age > 1000 * stale * (free ? 1 : LOCKED);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true; // Released in this moment.
    throw error;
  }
}

/** What a claim's file says. */
interface ClaimFile {
  readonly token: string | null;
  readonly host: string | null;
  readonly pid: number | null;
  readonly since: string | null;
}

/** A file that lost its content with its file system's power names nobody, as another host's would. */
async function read(path: string): Promise<ClaimFile> {
  let value: unknown = null;
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const found = isJsonObject(value) ? value : {};
  const text = (name: string) => typeof found[name] === "string" ? found[name] as string : null;
  const pid = typeof found.pid === "number" ? found.pid : null;
  return { token: text("token"), host: text("host"), pid, since: text("since") };
}

async function tokenOf(path: string): Promise<string | null> {
  try {
    return (await read(path)).token;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The file system's own time, milliseconds: hosts' clocks differ. */
async function now(folder: string): Promise<number> {
  const path = await Deno.makeTempFile({ dir: folder, prefix: ".", suffix: ".tmp" });
  try {
    return (await Deno.stat(path)).mtime!.getTime();
  } finally {
    await Deno.remove(path);
  }
}
