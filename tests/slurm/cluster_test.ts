import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readCheckpoint } from "../../lib/train/checkpoint.ts";
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

/** Looks again and again until there is something; tells the logs where there is nothing. */
async function until<T>(
  what: string,
  { cluster, out }: { cluster: Cluster; out: string },
  look: () => Promise<T | null>,
): Promise<T> {
  for (const end = Date.now() + 90_000; Date.now() < end; await wait(50)) {
    const found = await look();
    if (found !== null) return found;
  }
  const logs = await Promise.all((await tasks(out)).map(({ log }) => log));
  throw new Error(`Not in 90 s: ${what}\n${logs.join("\n--\n")}\n${await cluster.logs()}`);
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

/** Cells that run and have a checkpoint: their ids, and the processes that hold them. */
async function running(out: string): Promise<{ id: string; pid: number; steps: number[] }[]> {
  const found: { id: string; pid: number; steps: number[] }[] = [];
  for await (const { name: id } of Deno.readDir(out)) {
    if (!/^[0-9a-f]{16}$/.test(id)) continue;
    const names = (await Array.fromAsync(Deno.readDir(`${out}/${id}`))).map(({ name }) => name);
    const claim = names.filter((name) => /^claim-/.test(name)).sort().at(-1);
    const saved = names.filter((name) => /^checkpoint-/.test(name));
    if (claim === undefined || saved.length === 0 || names.includes("result.json")) continue;
    const text = await Deno.readTextFile(`${out}/${id}/${claim}`).catch(() => "");
    const steps = await Promise.all(
      saved.map(async (name) =>
        (await readCheckpoint(`${out}/${id}/${name}`).catch(() => null))?.checkpoint.step ?? 0
      ),
    );
    if (text !== "") found.push({ id, pid: JSON.parse(text).pid, steps });
  }
  return found;
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
        ...["--methods", "head full lora:rank=1,2", "--seeds", "0,1", "--train-size", "600"],
        ...["--epochs", "2", "--batch", "4", "--max-length", "24", "--eval", "validation"],
        ...["--checkpoint", "15"],
      ];
      const alone = await ended(startSweep(local, ...args));
      assertEquals([alone.code, alone.err], [0, ""]);

      const places = { cluster, out };
      const slurm = [...args, "--throttle", "2", "--time", "10", "--sbatch", "--mem=100"];
      const driver = startDriver(cluster, out, ...slurm);
      const victim = await until(
        "a cell runs",
        places,
        async () => (await running(out))[0] ?? null,
      );
      const killed = await taskOf(cluster, out, victim.id);
      Deno.kill(victim.pid, "SIGKILL");
      await until(
        "the killed cell is submitted again",
        places,
        async () => (await scripts(out)).length > 1 ? true : null,
      );
      driver.kill("SIGKILL");
      const first = await ended(driver);
      assertEquals(first.signal, "SIGKILL", first.err);
      assertStringIncludes(first.out, ": 8 cells in 8 tasks; logs in ");
      assertStringIncludes(
        first.out,
        `: its task ended without a result (${out}/slurm/${killed}.log); it is submitted again`,
      );

      const other = await until(
        "another cell runs",
        places,
        async () => (await running(out)).find(({ id }) => id !== victim.id) ?? null,
      );
      const requeued = await taskOf(cluster, out, other.id);
      const { ok, err } = await cluster.command("scontrol", "requeue", requeued);
      assert(ok, err);

      const second = await ended(startDriver(cluster, out, ...slurm));
      assertEquals([second.code, second.err], [0, ""], second.out);
      assertMatch(second.out, /Jobs? [\d, ]+ of an earlier call: \d tasks wait or run/);
      assertEquals(second.out.includes(" cells in "), false, second.out); // No job is submitted twice.

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
      assertMatch(logOf(requeued), new RegExp(`Going on from step \\d+ of ${other.id}`));
      assertMatch(
        logs.filter(({ name }) => name.split("_")[0] !== killed.split("_")[0])
          .map(({ log }) => log).join("\n"),
        new RegExp(`Going on from step \\d+ of ${victim.id}`),
      );

      const [expected, found] = [await results(local), await results(out)];
      assertEquals([...found.keys()], [...expected.keys()]);
      for (const [path, text] of expected) assert(found.get(path) === text, `${path} differs`);
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
        ...["--methods", "lora:rank=1", "--train-size", "1600", "--epochs", "6", "--batch", "4"],
        ...["--max-length", "24", "--eval", "validation", "--checkpoint", "20", "--detach"],
      ];
      const places = { cluster, out };
      const submit = async () => {
        const { code, out: printed, err } = await ended(startDriver(cluster, out, ...args));
        assertEquals([code, err], [0, ""], printed);
        return printed;
      };
      const beyond = (step: number) =>
        until(`the cell runs beyond step ${step}`, places, async () => {
          const [cell] = await running(out);
          return cell !== undefined && Math.max(...cell.steps) > step ? cell : null;
        });
      const said = (text: string, count: number) =>
        until(text, places, async () => {
          const logs = (await tasks(out)).map(({ log }) => log).join("\n");
          return logs.split(text).length > count ? true : null;
        });
      assertStringIncludes(await submit(), "1 cells wait or run; the same command watches them");
      const { id, steps } = await beyond(0);
      const task = await taskOf(cluster, out, id);
      // What Slurm itself sends before the limit, to the shell alone.
      await cluster.command("scancel", "--batch", "--signal=USR1", task);
      await said("Interrupted by SIGTERM: 0 of 1 cells are done", 1);
      await said("Going on from step ", 1);
      const again = await beyond(Math.max(...steps) + 40);
      assertStringIncludes(await submit(), "of an earlier call: 1 tasks wait or run");
      assertEquals((await scripts(out)).length, 1);

      // What Slurm sends to a job that it preempts: to the shell and to its processes.
      Deno.kill(again.pid, "SIGTERM");
      await cluster.command("scancel", "--batch", "--signal=TERM", task);
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
