import { assertEquals, assertRejects } from "@std/assert";
import { takeExecutor } from "../../lib/sweep/slurm/options.ts";
import { workerCommand } from "../../lib/sweep/slurm/worker_command.ts";

const root = Deno.cwd();

/** What the launcher would run for the same words, but for `deno`. */
async function launched(args: string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command("./tunegrid", {
    args,
    env: { TUNEGRID_DRY_RUN: "1", TUNEGRID_FIXTURES: "" },
  }).output();
  return new TextDecoder().decode(stdout).slice(0, -1).split("\n").slice(1);
}

Deno.test("a task's command is the launcher's own for a sweep that is run here", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${folder}/real`);
    await Deno.symlink(`${folder}/real`, `${folder}/link`);
    const cases = [
      ["--out", `${folder}/o`, "--methods", "full lora:rank=1"],
      [`--base=${folder}/real/b`, "--data", `${folder}/link`, "--out", "results"],
      ["--base", "hf:a/b@main", `--start=${folder}/a`, "--out=runs/x", "--eval-backend", "ort"],
      ["--experiment", `${folder}/e.json`, "--eval-backend=ort"],
    ];
    for (const [i, args] of cases.entries()) {
      const slurm = ["--executor", "slurm", "--partition=gpu", "--detach"];
      const { words } = takeExecutor([...slurm, ...args]);
      assertEquals(words, args);
      for (const name of ["sweep", "experiment"]) {
        const [deno, ...rest] = await workerCommand(words, `${root}/experiments/${name}.ts`);
        assertEquals(deno, Deno.execPath());
        // --start is opened to sweep alone.
        if (i === 2 && name === "experiment") continue;
        assertEquals(rest, await launched([name, ...args]));
      }
    }
    assertEquals(
      await workerCommand(["--out", "runs/a"], `${root}/experiments/sweep.ts`),
      [Deno.execPath(), "run", "-q", "--no-prompt", "-P=sweep", "experiments/sweep.ts"].concat(
        ["--out", "runs/a"],
      ),
    );
    await assertRejects(
      () => workerCommand(["--out", "/a,b"], `${root}/experiments/sweep.ts`),
      Error,
      "Deno takes no comma",
    );
    await assertRejects(() => workerCommand([], `${root}/own.ts`), TypeError, "permission set");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
