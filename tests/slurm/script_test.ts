import { assertEquals, assertStringIncludes } from "@std/assert";
import { type BatchJob, batchScript, logPath, RESTARTS } from "../../lib/sweep/slurm/script.ts";

const job: BatchJob = {
  name: "tunegrid-0a1b2c3d",
  folder: "/data/runs/slurm",
  root: "/home/a/tunegrid",
  packs: [["aa", "bb"], ["cc"]],
  throttle: 4,
  directives: ["--partition=gpu", "--account=x --mem=8G"],
  command: [
    "/opt/deno",
    "run",
    "-P=sweep",
    "experiments/sweep.ts",
    "--methods",
    "full lora:rank=1",
  ],
  commit: "0123 modified",
};

Deno.test("batchScript() is an array of one task for each pack", () => {
  const lines = batchScript(job).split("\n");
  const end = lines.findIndex((line, i) => i > 0 && !line.startsWith("#SBATCH"));
  assertEquals(lines.slice(0, end), [
    "#!/bin/sh",
    "#SBATCH --job-name=tunegrid-0a1b2c3d",
    "#SBATCH --array=0-1%4",
    "#SBATCH --output=/data/runs/slurm/%A_%a.log",
    "#SBATCH --open-mode=append",
    "#SBATCH --requeue",
    "#SBATCH --signal=B:USR1@60",
    "#SBATCH --partition=gpu",
    "#SBATCH --account=x --mem=8G",
  ]);
  assertStringIncludes(
    batchScript({ ...job, throttle: null, packs: [["aa"]] }),
    "\n#SBATCH --array=0-0\n",
  );
  assertEquals(logPath("/data/runs/slurm", "12", 3), "/data/runs/slurm/12_3.log");
});

Deno.test("batchScript() quotes what sbatch and the shell would take apart", () => {
  const text = batchScript({ ...job, folder: `/a b/50%/"c"/slurm`, root: "/it's" });
  assertStringIncludes(text, `#SBATCH --output="/a b/50%%/\\"c\\"/slurm/%A_%a.log"\n`);
  assertStringIncludes(text, `cd '/it'\\''s' || exit 1\n`);
  assertStringIncludes(text, "export TUNEGRID_COMMIT='0123 modified'\n");
  assertStringIncludes(text, "  'full lora:rank=1' \\\n  --cells \"$cells\" &\n");
});

interface Ended {
  code: number;
  out: string;
}

/** Runs the script with a shell script in Deno's place, and tells it a signal once it has begun. */
async function runScript(
  worker: string,
  { signal, env = {} }: { signal?: Deno.Signal; env?: Record<string, string> } = {},
): Promise<Ended> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/worker`, `#!/bin/sh\n${worker}\n`, { mode: 0o755 });
    const scontrol = '#!/bin/sh\necho "scontrol $*"\nkill -KILL $PPID\n';
    await Deno.writeTextFile(`${folder}/scontrol`, scontrol, { mode: 0o755 });
    const script = batchScript({ ...job, root: folder, command: [`${folder}/worker`, "a b"] });
    await Deno.writeTextFile(`${folder}/job.sh`, script);
    const child = new Deno.Command("/bin/sh", {
      args: [`${folder}/job.sh`],
      env: {
        PATH: `${folder}:${Deno.env.get("PATH")}`,
        ...{ SLURM_ARRAY_TASK_ID: "0", SLURM_JOB_ID: "77" },
        ...env,
      },
      stdout: "piped",
    }).spawn();
    const decoder = new TextDecoder();
    let out = "";
    for await (const chunk of child.stdout) {
      if (out === "" && signal !== undefined) child.kill(signal);
      out += decoder.decode(chunk, { stream: true });
    }
    return { code: (await child.status).code, out };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a task runs its share and ends as it does", async () => {
  const worker = `echo "$@"; exit 3`;
  assertEquals(await runScript(worker), { code: 3, out: "a b --cells aa,bb\n" });
  const env = { SLURM_ARRAY_TASK_ID: "1" };
  assertEquals(await runScript(worker, { env }), { code: 3, out: "a b --cells cc\n" });
});

/** Leaves with 130 once it is told, after a moment, as a sweep does. */
const saving = `trap 'sleep 0.3; echo saved; exit 130' TERM
echo begun
while :; do sleep 0.1; done`;

Deno.test("a task hands SIGTERM on, waits, and leaves", async () => {
  assertEquals(await runScript(saving, { signal: "SIGTERM" }), {
    code: 130,
    out: "begun\nsaved\n",
  });
});

Deno.test("before its limit a task saves its cell and requeues itself, not for ever", async () => {
  const { out } = await runScript(saving, { signal: "SIGUSR1" });
  assertEquals(out, "begun\nsaved\nscontrol requeue 77\n");
  const env = { SLURM_RESTART_COUNT: String(RESTARTS) };
  assertEquals(await runScript(saving, { signal: "SIGUSR1", env }), {
    code: 130,
    out: "begun\nsaved\n",
  });
  const done = saving.replace("exit 130", "exit 0");
  assertEquals((await runScript(done, { signal: "SIGUSR1" })).out, "begun\nsaved\n");
});
