import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ended, runFiles, startSweep } from "../sweep/sweep_process.ts";
import { type Cluster, clusterTest } from "./cluster.ts";

const root = new URL("../../", import.meta.url);

/** Starts a sweep's driver under its own permission set. */
function startDriver(cluster: Cluster, out: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    cwd: root,
    args: [
      ...["run", "-q", "--no-prompt", "--no-check", "-P=slurm"],
      ...[`--allow-read=.,${out}`, `--allow-write=${out}`],
      ...["experiments/sweep.ts", "--out", out, "--executor", "slurm", "--poll", "1s", ...args],
    ],
    env: { ...cluster.env, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function withFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

interface Places {
  cluster: Cluster;
  out: string;
}

/** Seconds that anything is waited for. */
const PATIENCE = 180;

/** Looks again and again until there is something; tells the logs where there is nothing. */
async function until<T>(
  what: string,
  { cluster, out }: Places,
  look: () => T | null | Promise<T | null>,
): Promise<T> {
  for (const end = Date.now() + 1000 * PATIENCE; Date.now() < end; await wait(20)) {
    const found = await look();
    if (found !== null) return found;
  }
  const logs = await Promise.all((await tasks(out)).map(({ log }) => log));
  throw new Error(
    `Not in ${PATIENCE} s: ${what}\n${logs.join("\n--\n")}\n${await cluster.logs()}`,
  );
}

/** Array tasks that have a log, by their names such as 12_3. */
async function tasks(out: string): Promise<{ name: string; log: string }[]> {
  const found: { name: string; log: string }[] = [];
  for await (const { name } of Deno.readDir(`${out}/slurm`)) {
    if (!name.endsWith(".log")) continue;
    const log = await Deno.readTextFile(`${out}/slurm/${name}`);
    found.push({ name: name.slice(0, -".log".length), log });
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Scripts that were submitted. */
async function scripts(out: string): Promise<string[]> {
  const names = (await Array.fromAsync(Deno.readDir(`${out}/slurm`))).map(({ name }) => name);
  return await Promise.all(
    names.filter((name) => name.endsWith(".sh")).map((name) =>
      Deno.readTextFile(`${out}/slurm/${name}`)
    ),
  );
}

/** A cell that has a checkpoint: its id, the process that holds it, and the latest one's step. */
interface Running {
  id: string;
  pid: number;
  step: number;
}

/** Cells that run and have a checkpoint. */
async function running(out: string): Promise<Running[]> {
  const found: Running[] = [];
  for await (const { name: id } of Deno.readDir(out)) {
    if (!/^[0-9a-f]{16}$/.test(id)) continue;
    const names = (await Array.fromAsync(Deno.readDir(`${out}/${id}`))).map(({ name }) => name);
    const claim = names.filter((name) => /^claim-/.test(name)).sort().at(-1);
    const saved = names.filter((name) => /^checkpoint-/.test(name)).sort().at(-1);
    if (claim === undefined || saved === undefined || names.includes("result.json")) continue;
    const text = await Deno.readTextFile(`${out}/${id}/${claim}`).catch(() => "");
    const step = Number(/\d+/.exec(saved)![0]);
    if (text !== "") found.push({ id, pid: JSON.parse(text).pid, step });
  }
  return found;
}

/** Steps between two checkpoints. */
const EVERY = 10;

/**
 * Stops the process of a cell between two of its checkpoints, so that what is then done to it does not
 * come too late on any machine; one that is stopped too near its end goes on.
 *
 * @param steps Steps of a cell
 */
async function hold(
  places: Places,
  steps: number,
  fits: (cell: Running) => boolean,
): Promise<Running> {
  const { out } = places;
  return await until("a cell is stopped between two checkpoints", places, async () => {
    for (const cell of (await running(out)).filter(fits)) {
      if (!signalled(cell.pid, "SIGSTOP")) continue;
      await wait(20);
      const now = (await running(out)).find(({ id, pid }) => id === cell.id && pid === cell.pid);
      // It has begun no step beyond its next checkpoint.
      if (now !== undefined && now.step + EVERY < steps) return now;
      signalled(cell.pid, "SIGCONT");
    }
    return null;
  });
}

/** Sends a signal; false where the process has ended. */
function signalled(pid: number, signal: Deno.Signal): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The array task that takes a cell, by the script that names it. */
async function taskOf(cluster: Cluster, out: string, id: string): Promise<string> {
  const { out: queue } = await cluster.command("squeue", "-h", "-r", "-o", "%i|%j");
  for (const line of queue.split("\n")) {
    const [task, name] = line.split("|");
    const script = await Deno.readTextFile(`${out}/slurm/${name}.sh`);
    if (script.includes(`  ${task.split("_")[1]}) cells=${id} ;;`)) return task;
  }
  throw new Error(`no task takes ${id}:\n${queue}`);
}

/** Listens to a driver while it runs. */
function follow(driver: Deno.ChildProcess): {
  driver: Deno.ChildProcess;
  told: { out: string; err: string };
  ended: Promise<Deno.CommandStatus>;
} {
  const told = { out: "", err: "" };
  const listen = async (name: "out" | "err", stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) told[name] += text;
  };
  const listening = [listen("out", driver.stdout), listen("err", driver.stderr)];
  return { driver, told, ended: Promise.all(listening).then(() => driver.status) };
}

/** Files of runs alone, in any order of their folders. */
async function results(out: string): Promise<Map<string, string>> {
  const files = await runFiles(out);
  for (const path of [...files.keys()]) {
    // What a killed process was about to write; removed when it is old.
    if (path.startsWith("slurm/") || path.split("/")[1].startsWith(".")) files.delete(path);
  }
  return files;
}

clusterTest(
  "eight cells on two slots, one killed, one requeued, the driver killed: one result each, as " +
    "without Slurm",
  2,
  (cluster) =>
    withFolder(async (folder) => {
      const [local, out] = [`${folder}/local`, `${folder}/o u't`];
      for (const path of [local, out]) await Deno.mkdir(path);
      const args = [
        ...["--methods", "full lora:rank=1,2 head", "--seeds", "0,1", "--train-size", "240"],
        ...["--epochs", "2", "--batch", "4", "--max-length", "24", "--eval", "validation"],
        ...["--checkpoint", String(EVERY)],
      ];
      const steps = 2 * 240 / 4;
      const alone = await ended(startSweep(local, ...args));
      assertEquals([alone.code, alone.err], [0, ""]);

      const places = { cluster, out };
      const slurm = [...args, "--throttle", "2", "--time", "10", "--sbatch", "--mem=100"];
      const first = follow(startDriver(cluster, out, ...slurm));
      const victim = await hold(places, steps, () => true);
      const other = await hold(places, steps, ({ id }) => id !== victim.id);
      const killed = await taskOf(cluster, out, victim.id);
      const requeued = await taskOf(cluster, out, other.id);
      Deno.kill(victim.pid, "SIGKILL");
      await until(
        "the killed cell is submitted again",
        places,
        () => /Job \d+: 1 cells in 1 tasks/.test(first.told.out) || null,
      );
      first.driver.kill("SIGKILL");
      assertEquals((await first.ended).signal, "SIGKILL", first.told.err);
      assertStringIncludes(first.told.out, ": 8 cells in 8 tasks; logs in ");
      assertStringIncludes(
        first.told.out,
        `: its task ended without a result (${out}/slurm/${killed}.log); it is submitted again`,
      );

      const second = follow(startDriver(cluster, out, ...slurm));
      const found = /Jobs? [\d, ]+ of an earlier call: \d tasks wait or run/;
      await until(
        "the driver finds the tasks",
        places,
        () => found.test(second.told.out) || null,
      );
      // Slurm wakes the task, asks it to end, and lets it begin again.
      const { ok, err } = await cluster.command("scontrol", "requeue", requeued);
      assert(ok, err);
      const { code } = await second.ended;
      assertEquals([code, second.told.err], [0, ""], second.told.out);
      // No job is submitted twice.
      assertEquals(/Job \d+: /.test(second.told.out), false, second.told.out);

      const submitted = (await scripts(out)).flatMap((text) =>
        [...text.matchAll(/^ +\d+\) cells=(\w+) ;;$/gm)].map(([, id]) => id)
      );
      assertEquals(submitted.length, 9);
      assertEquals(submitted.filter((id) => id === victim.id).length, 2);
      assertEquals(new Set(submitted).size, 8);

      const logs = await tasks(out);
      const published = logs.flatMap(({ log }) => log.match(/^\[1\/1\] .*: accuracy/gm) ?? []);
      assertEquals([published.length, new Set(published).size], [8, 8], JSON.stringify(logs));
      const logOf = (task: string) => logs.find(({ name }) => name === task)!.log;
      assertMatch(
        logOf(requeued),
        new RegExp(
          "DUE TO JOB REQUEUE[^]*Interrupted by SIGTERM: \\d of 8 cells [^]*" +
            `Going on from step \\d+ of ${other.id}`,
        ),
      );
      assertMatch(
        logs.filter(({ name }) => name.split("_")[0] !== killed.split("_")[0])
          .map(({ log }) => log).join("\n"),
        new RegExp(`Going on from step \\d+ of ${victim.id}`),
      );

      const [expected, here] = [await results(local), await results(out)];
      assertEquals([...here.keys()], [...expected.keys()]);
      for (const [path, text] of expected) assert(here.get(path) === text, `${path} differs`);
      const rest = (await Array.fromAsync(Deno.readDir(`${out}/slurm`))).map(({ name }) => name);
      assertEquals(rest.filter((name) => !/\.(sh|log)$/.test(name)), []);
      assertEquals(
        (await Deno.readTextFile(`${out}/table.csv`)).split("\n").length,
        (await Deno.readTextFile(`${local}/table.csv`)).split("\n").length,
      );
    }),
);

clusterTest(
  "before its time limit a task saves its cell and requeues itself; at SIGTERM it saves it and leaves",
  1,
  (cluster) =>
    withFolder(async (folder) => {
      const out = `${folder}/out`;
      await Deno.mkdir(out);
      const args = [
        ...["--methods", "lora:rank=1", "--train-size", "240", "--epochs", "5", "--batch", "4"],
        ...["--max-length", "24", "--eval", "validation", "--checkpoint", String(EVERY)],
        "--detach",
      ];
      const steps = 5 * 240 / 4;
      const places = { cluster, out };
      const submit = async () => {
        const { code, out: printed, err } = await ended(startDriver(cluster, out, ...args));
        assertEquals([code, err], [0, ""], printed);
        return printed;
      };
      const said = (text: string, count: number) =>
        until(text, places, async () => {
          const logs = (await tasks(out)).map(({ log }) => log).join("\n");
          return logs.split(text).length > count ? true : null;
        });
      assertStringIncludes(await submit(), "1 cells wait or run; the same command watches them");
      const begun = await hold(places, steps, () => true);
      const task = await taskOf(cluster, out, begun.id);
      // What Slurm itself sends before the limit, to the shell alone.
      await cluster.command("scancel", "--batch", "--signal=USR1", task);
      signalled(begun.pid, "SIGCONT");
      await said("Interrupted by SIGTERM: 0 of 1 cells are done", 1);
      await said("Going on from step ", 1);
      const again = await hold(
        places,
        steps,
        ({ pid, step }) => pid !== begun.pid && step > begun.step + EVERY,
      );
      assertStringIncludes(await submit(), "of an earlier call: 1 tasks wait or run");
      assertEquals((await scripts(out)).length, 1);

      // What Slurm sends to a job that it preempts: to the shell and to its processes.
      signalled(again.pid, "SIGTERM");
      await cluster.command("scancel", "--batch", "--signal=TERM", task);
      signalled(again.pid, "SIGCONT");
      await said("Interrupted by SIGTERM: 0 of 1 cells are done", 2);
      await until("the task has left", places, async () => {
        const { out: queue } = await cluster.command("squeue", "-h");
        return queue === "" ? true : null;
      });
      assertStringIncludes(await submit(), ": 1 cells in 1 tasks; logs in ");
      await said("Going on from step ", 2);
      const last = await ended(startDriver(cluster, out, ...args.slice(0, -1)));
      assertEquals([last.code, last.err], [0, ""], last.out);
      assertMatch(last.out, /^\[1\/1\] .*: accuracy/m);
    }),
);
