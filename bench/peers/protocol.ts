/**
 * How the bench talks with an engine in a process of its own: a line of JSON asks, a line of JSON
 * answers. A process stays up and works when it is asked to, so that only one works at a time.
 *
 * @module
 */

import { TextLineStream } from "./lines.ts";

/** What all engines do alike, from the same files. */
export interface Job {
  readonly kind: "matmul" | "step" | "inference";
  readonly name: string;
  /** Rows and columns of both matrices; of a matmul. */
  readonly size: number;
  /** Safetensors with the matrices `a` and `b`, or all parameters at the start. */
  readonly weights: string;
  /** Of a step or an inference. */
  readonly model: ModelJob | null;
}

/** A model's part of a job. */
export interface ModelJob {
  /** `config.json`, as Hugging Face has it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly precision: "f32" | "f16";
  readonly batch: number;
  readonly length: number;
  /** Token ids, [batch][length], all of them real. */
  readonly ids: readonly (readonly number[])[];
  /** Classes; of a text-to-text model the target's ids, [batch][2]. */
  readonly labels: readonly (number | readonly number[])[];
  /** AdamW with decay on everything, at a constant rate, without clipping. */
  readonly optimizer: Readonly<
    Record<"learningRate" | "beta1" | "beta2" | "epsilon" | "weightDecay", number>
  >;
  /** The model as ONNX; of an inference. */
  readonly onnx: string | null;
}

/** What the bench asks of an engine. */
export type Request =
  | { readonly ask: "hello" }
  | { readonly ask: "prepare"; readonly job: Job }
  | { readonly ask: "round"; readonly count: number }
  | { readonly ask: "release" };

/** What an engine is. */
export interface Hello {
  readonly engine: string;
  readonly version: string;
  /** What computes. */
  readonly device: string;
  /** Whether that is the processor, be it through a graphics interface. */
  readonly software: boolean;
}

/** What a job came to, or why the engine does not do it. */
export interface Prepared {
  /** First row of the product; losses of the first steps; logits. */
  readonly values?: readonly number[];
  readonly cannot?: string;
}

/** Time of a round: all repetitions and one wait for the device. */
export interface Round {
  readonly ms: number;
}

/** Steps whose losses are compared before anything is timed. */
export const COMPARED_STEPS = 5;

/** A job that is ready. */
export interface Task {
  readonly values: readonly number[];
  /** Repeats the work, and waits for the device once, at the end. */
  readonly run: (count: number) => Promise<void>;
  readonly release: () => void | Promise<void>;
}

/** An engine. */
export interface Engine {
  readonly hello: Hello;
  /** Null where it does not do such a job. */
  readonly prepare: (job: Job) => Promise<Task | null>;
}

/** Serves an engine until its input ends. */
export async function serve(open: () => Promise<Engine>): Promise<void> {
  let engine: Engine | null = null;
  let task: Task | null = null;
  const answer = async (request: Request): Promise<unknown> => {
    engine ??= await open();
    if (request.ask === "hello") return engine.hello;
    if (request.ask === "round") {
      const start = performance.now();
      await task!.run(request.count);
      return { ms: performance.now() - start } satisfies Round;
    }
    await task?.release();
    task = null;
    if (request.ask === "release") return {};
    task = await engine.prepare(request.job);
    return task === null ? { cannot: NOT_WRITTEN } : { values: task.values };
  };
  for await (const line of Deno.stdin.readable.pipeThrough(new TextLineStream())) {
    const reply = await answer(JSON.parse(line)).catch((error) => ({
      cannot: error instanceof Error ? error.message.split("\n")[0] : String(error),
    }));
    console.log(ANSWER + JSON.stringify(reply));
  }
}

/** Why an engine does not do a job that nobody wrote for it. */
export const NOT_WRITTEN = "not written for it";

/** What an answer begins with, as libraries print too. */
export const ANSWER = "answer ";
