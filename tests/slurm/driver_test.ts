import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Cell, cellId } from "../../lib/sweep/cell.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { quietReporter } from "../../lib/sweep/progress.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { runOnSlurm, type SlurmSummary } from "../../lib/sweep/slurm/driver.ts";
import type { SlurmOptions } from "../../lib/sweep/slurm/options.ts";
import { cells, runCell } from "../sweep/fake_sweep.ts";

/** Slurm's programs as scripts: jobs are numbered, and the queue is what a test writes into a file. */
const programs = {
  sbatch: `[ ! -e "$0.fails" ] || { cat "$0.fails" >&2; exit 1; }
cd "$(dirname "$0")"; n=$(($(cat jobs 2>/dev/null || echo 0) + 1)); echo $n >jobs
cp "$2" "job-$n.sh"; echo $n`,
  squeue: `cd "$(dirname "$0")"; [ ! -e down ] || exit 1; cat queue 2>/dev/null || :`,
  scancel: `echo "$@" >>"$0.log"`,
};

interface Setting {
  out: string;
  bin: string;
  told: string[];
  start(some: readonly Cell[], partial?: Partial<SlurmOptions>): Promise<SlurmSummary>;
  /** Puts tasks of the only or latest submission into the queue. */
  queue(job: number, tasks: readonly number[], state?: string): Promise<void>;
  abort(): void;
}

async function withSlurm(fn: (setting: Setting) => Promise<void>): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const [out, bin, path] = [`${folder}/runs`, `${folder}/bin`, Deno.env.get("PATH")!];
  const controller = new AbortController();
  try {
    for (const one of [out, bin]) await Deno.mkdir(one);
    for (const [name, text] of Object.entries(programs)) {
      await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    Deno.env.set("PATH", `${bin}:${path}`);
    const told: string[] = [];
    const start = (some: readonly Cell[], partial: Partial<SlurmOptions> = {}) =>
      runOnSlurm(some, {
        out,
        options: {
          ...{ pack: 1, throttle: null, directives: [], resubmit: 2, poll: 0.05, detach: false },
          ...partial,
        },
        command: ["/opt/deno", "run"],
        label: ({ name }) => name,
        tell: (_, __, text) => told.push(text),
        status: () => {},
        signal: controller.signal,
      });
    const queue = async (job: number, tasks: readonly number[], state = "RUNNING") => {
      const script = await Deno.readTextFile(`${bin}/job-${job}.sh`);
      const [, name] = /--job-name=(.*)/.exec(script)!;
      const lines = tasks.map((task) => `${job}_${task}|${name}|${state}|None\n`);
      await Deno.writeTextFile(`${bin}/queue`, lines.join(""));
    };
    await fn({ out, bin, told, start, queue, abort: () => controller.abort(new Error("stop")) });
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs cells here, as their tasks would. */
async function runHere(out: string, some: readonly Cell[]): Promise<void> {
  await runSweep(some, runCell, {
    out,
    label: ({ name }) => name,
    environment: environment(null),
    reporter: quietReporter(() => {}),
    signal: new AbortController().signal,
  });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200 && !await holds(); i++) await new Promise((r) => setTimeout(r, 25));
  assert(await holds());
}

const five = cells({ methods: "full lora:rank=1,2", seeds: [0, 1] }).slice(0, 5);

Deno.test("what lacks a result is submitted in packs, and found again by the next call", () =>
  withSlurm(async ({ out, bin, told, start, queue }) => {
    await runHere(out, five.slice(0, 1));
    const summary = await start(five, { pack: 3, throttle: 2, detach: true });
    assertEquals(summary, { done: 0, skipped: 1, failed: 0, left: 4 });
    assertEquals(told, [`Job 1: 4 cells in 2 tasks; logs in ${out}/slurm`]);
    const script = await Deno.readTextFile(`${bin}/job-1.sh`);
    const ids = five.map(cellId);
    assertStringIncludes(script, "#SBATCH --array=0-1%2\n");
    assertStringIncludes(script, `  0) cells=${ids.slice(1, 4).join(",")} ;;\n`);
    assertStringIncludes(script, `  1) cells=${ids[4]} ;;\n`);

    await queue(1, [0, 1]);
    await start(five, { detach: true });
    assertEquals(told.at(-1), "Job 1 of an earlier call: 2 tasks wait or run");
    // Its first task has ended with two results of three.
    await runHere(out, five.slice(1, 3));
    await queue(1, [1]);
    const again = await start(five, { pack: 3, detach: true });
    assertEquals(again, { done: 0, skipped: 3, failed: 0, left: 2 });
    assertStringIncludes(await Deno.readTextFile(`${bin}/job-2.sh`), `0) cells=${ids[3]} ;;\n`);
    assertEquals(await Deno.readTextFile(`${bin}/jobs`), "2\n");

    // The rest is run by others: tasks that wait are cancelled, and nothing is left to find.
    await queue(1, [1], "PENDING");
    const watching = start(five);
    await runHere(out, five);
    assertEquals((await watching).left, 0);
    assertEquals(await Deno.readTextFile(`${bin}/scancel.log`), "1_1\n");
    const names = (await Array.fromAsync(Deno.readDir(`${out}/slurm`))).map(({ name }) => name);
    assertEquals(names.filter((name) => !name.endsWith(".sh")), []);
  }));

Deno.test("a cell is submitted again up to the limit, then it has failed, and its log is named", () =>
  withSlurm(async ({ out, bin, told, start }) => {
    const [good, bad] = five;
    await runHere(out, [good]);
    await runSweep([bad], () => Promise.reject(new Error("Cannot allocate 9 bytes")), {
      out,
      label: () => "a",
      environment: environment(null),
      reporter: quietReporter(() => {}),
      signal: new AbortController().signal,
    });
    const summary = await start([good, bad], { resubmit: 1 });
    assertEquals(summary, { done: 0, skipped: 1, failed: 1, left: 0 });
    const line = `[2/2] ${bad.method.name}, seed ${bad.seed}: `;
    assertEquals(told, [
      `Job 1: 1 cells in 1 tasks; logs in ${out}/slurm`,
      `${line}Cannot allocate 9 bytes (${out}/slurm/1_0.log); it is submitted again`,
      `Job 2: 1 cells in 1 tasks; logs in ${out}/slurm`,
      `${line}failed: Cannot allocate 9 bytes (${out}/slurm/2_0.log)`,
    ]);
    // The same command tries again.
    await start([good, bad], { resubmit: 0 });
    assertEquals(await Deno.readTextFile(`${bin}/jobs`), "3\n");
  }));

Deno.test("while squeue does not answer, nothing counts as ended", () =>
  withSlurm(async ({ out, bin, told, start, queue }) => {
    const some = five.slice(0, 2);
    await start(some, { detach: true });
    await queue(1, [0, 1]);
    await Deno.writeTextFile(`${bin}/down`, "");
    const watching = start(some);
    await until(() => told.some((text) => text.startsWith("squeue does not answer")));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await Deno.remove(`${bin}/down`);
    await runHere(out, some);
    await Deno.remove(`${bin}/queue`);
    assertEquals((await watching).done, 2);
    assertEquals(await Deno.readTextFile(`${bin}/jobs`), "1\n");
  }));

Deno.test("what Slurm refuses is told with a way out, and leaves nothing behind", () =>
  withSlurm(async ({ out, bin, start }) => {
    const message = "sbatch: error: Batch job submission failed: Invalid job array specification";
    await Deno.writeTextFile(`${bin}/sbatch.fails`, message);
    const error = await assertRejects(() => start(five), Error, message);
    assertStringIncludes(error.message, "give each task more cells by --pack");
    const names = (await Array.fromAsync(Deno.readDir(`${out}/slurm`))).map(({ name }) => name);
    assertEquals(names.filter((name) => !name.endsWith(".sh")), []);
  }));

Deno.test("who stops watching leaves the tasks to Slurm, and is told how to end them", () =>
  withSlurm(async ({ bin, start, queue, abort }) => {
    await start(five, { detach: true });
    await queue(1, [0, 1, 2, 3, 4]);
    const told: string[] = [];
    const print = console.error;
    console.error = (text: string) => told.push(text);
    try {
      const watching = start(five);
      setTimeout(abort, 200);
      await assertRejects(() => watching, Error, "stop");
    } finally {
      console.error = print;
    }
    assertEquals(told, [
      "Job 1 of Slurm: 5 tasks go on; the same command watches them, scancel 1 ends them",
    ]);
    assertEquals(await Deno.stat(`${bin}/scancel.log`).catch(() => null), null);
  }));

Deno.test("the sweep's own task may not submit, and says what may", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-q", "--no-prompt", "--no-check", "-P=sweep", "experiments/sweep.ts"],
      ...["--executor", "slurm"],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const err = new TextDecoder().decode(stderr);
  assertEquals(code, 1);
  assertStringIncludes(
    err,
    "error: Cannot use --executor slurm: sbatch, squeue, scancel must be on",
  );
  assertStringIncludes(err, "start ./tunegrid sweep ... --executor slurm");
});
