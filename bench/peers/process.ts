/**
 * An engine in a process of its own, from the bench's side.
 *
 * @module
 */

import { TextLineStream } from "./lines.ts";
import {
  ANSWER,
  type Hello,
  type Job,
  type Prepared,
  type Request,
  type Round,
} from "./protocol.ts";

/** A command line and what is added to its environment. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Seconds after which a silent engine is given up. */
const PATIENCE = 120;

/** A running engine. */
export class EngineProcess {
  readonly hello: Hello;
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  private constructor(
    child: Deno.ChildProcess,
    writer: WritableStreamDefaultWriter<Uint8Array>,
    lines: ReadableStreamDefaultReader<string>,
    hello: Hello,
  ) {
    this.#child = child;
    this.#writer = writer;
    this.#lines = lines;
    this.hello = hello;
  }

  /** Starts an engine. @throws Error with what it said where it does not come up. */
  static async start({ program, args, env }: Command): Promise<EngineProcess> {
    const child = new Deno.Command(program, {
      args: [...args],
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const said: string[] = [];
    const complaints = (async () => {
      for await (const line of child.stderr.pipeThrough(new TextLineStream())) {
        said.push(line);
        if (said.length > 20) said.shift();
      }
    })();
    const writer = child.stdin.getWriter();
    const lines = child.stdout.pipeThrough(new TextLineStream()).getReader();
    const hello = await ask<Hello & Prepared>(writer, lines, { ask: "hello" }).catch(() => null);
    if (hello === null || hello.cannot !== undefined) {
      await writer.close().catch(() => {});
      try {
        child.kill();
      } catch {
        // It has ended by itself.
      }
      await child.status;
      await complaints;
      const last = said.filter((line) => /error|cannot|no module/i.test(line)).at(-1);
      throw new Error(hello?.cannot ?? last?.trim() ?? "it said nothing");
    }
    return new EngineProcess(child, writer, lines, hello);
  }

  /** Makes a job ready. */
  async prepare(job: Job): Promise<Prepared> {
    return await ask<Prepared>(this.#writer, this.#lines, { ask: "prepare", job });
  }

  /** Milliseconds of a round. @throws Error where it fails. */
  async round(count: number): Promise<number> {
    const reply = await ask<Round & Prepared>(this.#writer, this.#lines, { ask: "round", count });
    if (reply.cannot !== undefined) throw new Error(reply.cannot);
    return reply.ms;
  }

  /** Frees what the last job took. */
  async release(): Promise<void> {
    await ask(this.#writer, this.#lines, { ask: "release" });
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 3000);
    await this.#child.status;
    clearTimeout(late);
    await this.#lines.cancel();
  }
}

async function ask<T>(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  lines: ReadableStreamDefaultReader<string>,
  request: Request,
): Promise<T> {
  await writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE} s`)), PATIENCE * 1000);
  });
  try {
    while (true) {
      const { done, value } = await Promise.race([lines.read(), patience]);
      if (done) throw new Error("the process ended");
      if (value.startsWith(ANSWER)) return JSON.parse(value.slice(ANSWER.length));
    }
  } finally {
    clearTimeout(timer);
  }
}
