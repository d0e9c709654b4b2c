/**
 * The predict task as deno.json has it, with its own permission set, and a small run to ask.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { ONNX_CACHE } from "../lib/sweep/onnx_cache.ts";
import { runExperiment } from "../lib/sweep/run_experiment.ts";

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Trains the embedded base a little, in a folder that the task may read; gone afterwards. */
export async function withRuns(
  methods: string,
  use: (out: string, ids: string[]) => Promise<void>,
): Promise<void> {
  const out = `runs/.predict_test_${crypto.randomUUID()}`;
  try {
    const { runs } = await runExperiment({
      methods,
      trainSize: 64,
      settings: { epochs: 1, batchSize: 16 },
      evaluate: ["validation"],
      out,
    });
    const ids = runs.map(({ id }) => id);
    await forgetExports(ids);
    try {
      await use(out, ids);
    } finally {
      await forgetExports(ids);
    }
  } finally {
    await Deno.remove(out, { recursive: true }).catch(() => {});
  }
}

/** Removes what predictions kept of runs: the same description has the same id every time. */
async function forgetExports(ids: readonly string[]): Promise<void> {
  const names = await Array.fromAsync(Deno.readDir(ONNX_CACHE), ({ name }) => name).catch(() => []);
  for (const name of names.filter((name) => ids.some((id) => name.startsWith(id)))) {
    await Deno.remove(`${ONNX_CACHE}/${name}`, { recursive: true });
  }
}

/** Runs the task as `deno task predict` does. */
export async function predictTask(
  args: readonly string[],
  { env = {}, stdin = "", flags = [] as readonly string[] } = {},
): Promise<Outcome> {
  const [, ...command] = config.tasks.predict.command.split(" ");
  const child = new Deno.Command(Deno.execPath(), {
    args: [...command.slice(0, -1), ...flags, command[command.length - 1], ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  await new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {}); // it may read nothing
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}
