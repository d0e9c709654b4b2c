/**
 * Slurm's programs: what is submitted, waits and runs.
 *
 * @module
 */

/** An array task that waits or runs. */
export interface QueuedTask {
  /** Its job's name. */
  readonly name: string;
  /** Its job's number. */
  readonly job: string;
  /** Its place in the array, from 0. */
  readonly index: number;
  /** As Slurm calls it: PENDING, RUNNING, COMPLETING and so on. */
  readonly state: string;
  /** Why it waits. */
  readonly reason: string;
}

const PROGRAMS = ["sbatch", "squeue", "scancel"] as const;

/**
 * Makes sure that Slurm's programs can be run.
 *
 * @throws {Error} Where one is missing or not permitted
 */
export function checkSlurm(): void {
  const missing = PROGRAMS.filter((command) =>
    Deno.permissions.querySync({ name: "run", command }).state !== "granted"
  );
  if (missing.length === 0) return;
  throw new Error(
    `Cannot use --executor slurm: ${
      missing.join(", ")
    } must be on PATH, and this process must be ` +
      `permitted to run them; start ./tunegrid sweep ... --executor slurm on a host that submits ` +
      `jobs (without the launcher: deno run -P=slurm experiments/sweep.ts ...)`,
  );
}

/**
 * Submits a batch script.
 *
 * @returns The job's number.
 * @throws {Error} When Slurm refuses it
 */
export async function submit(script: string): Promise<string> {
  const { ok, out, err } = await run("sbatch", ["--parsable", script]);
  const [, job] = /^(\d+)(?:;|\s|$)/.exec(out) ?? [];
  if (ok && job !== undefined) return job;
  const advice = /array spec/i.test(err) ? "; give each task more cells by --pack" : "";
  throw new Error(`Cannot submit ${script}: ${err || `sbatch printed "${out}"`}${advice}`);
}

/**
 * What waits and runs of jobs of these names; empty where all have ended.
 *
 * @returns Null where Slurm does not answer.
 */
export async function queued(names: readonly string[]): Promise<QueuedTask[] | null> {
  if (names.length === 0) return [];
  const { ok, out } = await run("squeue", [
    ...["--noheader", "--array", `--name=${names.join(",")}`, "--format=%i|%j|%T|%r"],
  ]);
  return ok ? parseQueue(out) : null;
}

/** Cancels jobs, as far as they are still there. */
export async function cancel(jobs: readonly string[]): Promise<void> {
  if (jobs.length > 0) await run("scancel", [...jobs]);
}

/**
 * Reads `squeue --format=%i|%j|%T|%r`. Tasks of an array that wait together may share a line, as in
 * `12_[0,3-7%2]`.
 *
 * @throws {Error} Where a line is none of these
 */
export function parseQueue(text: string): QueuedTask[] {
  return text.split("\n").filter((line) => line.trim() !== "").flatMap((line) => {
    const [id, name, state, ...reason] = line.trim().split("|");
    const [, job, one, several] = /^(\d+)_(?:(\d+)|\[([\d,:-]+)(?:%\d+)?\])$/.exec(id) ?? [];
    if (job === undefined || state === undefined) {
      throw new Error(`Cannot read "${line}" of squeue: must be the task of an array, as in 12_3`);
    }
    const indexes = one === undefined ? several.split(",").flatMap(range) : [Number(one)];
    return indexes.map((index) => ({ job, index, name, state, reason: reason.join("|") }));
  });
}

/** The numbers of `3`, `3-7` or `0-8:2`. */
function range(text: string): number[] {
  const [, first, last = first, step = "1"] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(text) ?? [];
  const numbers: number[] = [];
  for (let n = Number(first); n <= Number(last); n += Number(step)) numbers.push(n);
  return numbers;
}

async function run(
  program: typeof PROGRAMS[number],
  args: string[],
): Promise<{ ok: boolean; out: string; err: string }> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  return { ok: success, out, err: err.replace(/\s*\n\s*/g, "; ") };
}
