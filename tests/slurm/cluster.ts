/**
 * A Slurm of one node, for tests: its daemons, configuration, ports and state are its own.
 *
 * @module
 */

/** Where Debian puts daemons. */
const FOLDERS = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];

const DAEMONS = ["munged", "slurmctld", "slurmd"] as const;

function find(name: string): string | null {
  const found = FOLDERS.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
  return found ?? null;
}

/** Why no cluster can be started here; null where one can. */
export function whyNoCluster(): string | null {
  const missing = [...DAEMONS, "sbatch", "squeue", "scancel", "scontrol"].filter((name) =>
    find(name) === null
  );
  if (missing.length > 0) {
    return `no ${missing.join(", ")} found; Debian: ` +
      `apt-get install slurmctld slurmd slurm-client munge`;
  }
  const { stdout } = new Deno.Command("id", { args: ["-u"] }).outputSync();
  return new TextDecoder().decode(stdout).trim() === "0" ? null : "only root can start its daemons";
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** A running cluster. */
export class Cluster implements AsyncDisposable {
  /** What Slurm's programs need to find it. */
  readonly env: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #daemons: Deno.ChildProcess[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
    this.env = { SLURM_CONF: `${folder}/slurm.conf` };
  }

  /**
   * Starts the daemons, and waits until the node is idle.
   *
   * @param cpus How many tasks of one CPU run at once
   * @throws {Error} With the daemons' logs, where it does not come up
   */
  static async start(cpus: number): Promise<Cluster> {
    const folder = await Deno.makeTempDir({ prefix: "slurm" });
    const cluster = new Cluster(folder);
    try {
      await cluster.#start(cpus);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(cpus: number): Promise<void> {
    const folder = this.#folder;
    await Deno.chmod(folder, 0o755); // munge asks for it
    for (const name of ["state", "spool"]) await Deno.mkdir(`${folder}/${name}`);
    await Deno.writeFile(`${folder}/munge.key`, crypto.getRandomValues(new Uint8Array(64)), {
      mode: 0o600,
    });
    const socket = `${folder}/munge.socket`;
    const host = Deno.hostname().split(".")[0];
    await Deno.writeTextFile(
      `${folder}/slurm.conf`,
      `ClusterName=test
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${socket},cred_expire=6
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmctldPort=${freePort()}
SlurmdPort=${freePort()}
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
MailProg=/bin/true
MinJobAge=10
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cpus} RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP PreemptMode=OFF
`,
    );
    this.#spawn("munged", [
      ...["--foreground", "--force", `--socket=${socket}`, `--key-file=${folder}/munge.key`],
      ...[`--pid-file=${folder}/munged.pid`, `--seed-file=${folder}/munge.seed`],
      `--log-file=${folder}/munged.log`,
    ]);
    await this.#until("munged answers", () => exists(socket));
    this.#spawn("slurmctld", ["-D"]);
    this.#spawn("slurmd", ["-D"]);
    await this.#until("the node is idle", async () => {
      const { ok, out } = await this.command("sinfo", "--noheader", "--format=%T");
      return ok && out === "idle";
    });
  }

  #spawn(name: typeof DAEMONS[number], args: string[]): void {
    // Output goes into a file: nobody reads a pipe.
    const log = `${this.#folder}/${name}.out`;
    this.#daemons.push(
      new Deno.Command("/bin/sh", {
        args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, find(name)!, ...args],
        env: { ...this.env },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
    );
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 30_000; !await holds();) {
      if (Date.now() > end) throw new Error(`Not in 30 s: ${what}\n${await this.logs()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** The daemons' logs, their ends. */
  async logs(): Promise<string> {
    const texts = DAEMONS.map(async (name) => {
      const text = await Deno.readTextFile(`${this.#folder}/${name}.out`).catch(() => "");
      return `${name}:\n${text.split("\n").slice(-25).join("\n")}`;
    });
    return (await Promise.all(texts)).join("\n");
  }

  /** Runs one of Slurm's programs. */
  async command(
    name: string,
    ...args: string[]
  ): Promise<{ ok: boolean; out: string; err: string }> {
    const { success, stdout, stderr } = await new Deno.Command(name, {
      args,
      env: { ...this.env },
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    return { ok: success, out, err };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemons.length === DAEMONS.length) {
      await this.command("scancel", "--user=root");
      for (let looks = 0; looks < 100; looks++) {
        const { ok, out } = await this.command("squeue", "--noheader");
        if (!ok || out === "") break;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    for (const daemon of this.#daemons.toReversed()) {
      daemon.kill("SIGTERM");
      const timer = setTimeout(() => daemon.kill("SIGKILL"), 10_000);
      await daemon.status;
      clearTimeout(timer);
    }
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/**
 * Declares a test that needs a cluster; without one, it is ignored, and its name says why.
 *
 * @param name What the test shows
 * @param cpus How many tasks of one CPU run at once
 * @param fn The test, given a cluster of its own
 */
export function clusterTest(
  name: string,
  cpus: number,
  fn: (cluster: Cluster) => Promise<void>,
): void {
  const reason = whyNoCluster();
  if (reason !== null) {
    Deno.test({ name: `${name} (ignored: ${reason})`, ignore: true, fn: () => {} });
    return;
  }
  Deno.test(name, async () => {
    await using cluster = await Cluster.start(cpus);
    await fn(cluster);
  });
}
