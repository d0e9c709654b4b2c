import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { ONNX_RUNTIME_FOLDER, ONNX_RUNTIME_PACKAGE } from "../lib/infer/onnx_runtime.ts";

interface Outcome {
  code: number;
  out: string;
  err: string;
}

const root = Deno.cwd();

async function launch(
  args: string[],
  { env = {}, cwd = root, launcher = `${root}/tunegrid`, clearEnv = false } = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: [launcher, ...args],
    cwd,
    clearEnv,
    env: clearEnv ? env : { TUNEGRID_FIXTURES: "", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** The command line that the launcher would run, without "deno". */
async function dryRun(args: string[], options: { cwd?: string } = {}): Promise<string[]> {
  const { code, out, err } = await launch(args, { ...options, env: { TUNEGRID_DRY_RUN: "1" } });
  assertEquals([code, err], [0, ""]);
  const [deno, ...rest] = out.slice(0, -1).split("\n");
  assertEquals(deno, "deno");
  return rest;
}

async function withFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A folder of programs for PATH: the named ones of this machine, and scripts in place of others. */
async function programs(
  folder: string,
  names: string[],
  scripts: Record<string, string>,
): Promise<string> {
  const bin = `${folder}/bin`;
  await Deno.mkdir(bin);
  for (const name of names) {
    const found = ["/bin", "/usr/bin"].map((place) => `${place}/${name}`).find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
    assert(found, `no ${name} in /bin or /usr/bin`);
    await Deno.symlink(found, `${bin}/${name}`);
  }
  for (const [name, text] of Object.entries(scripts)) {
    await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  return bin;
}

const basics = ["basename", "cat", "cksum", "cp", "dirname", "env", "mkdir", "mv", "readlink"];
const tools = [...basics, "rm", "sed", "sh", "tail"];
const denoScript = `exec '${Deno.execPath()}' "$@"`;

Deno.test("the launcher tells unknown commands from help", async () => {
  const unknown = await launch(["swep"]);
  assertEquals([unknown.code, unknown.out], [2, ""]);
  assertMatch(unknown.err, /^error: Cannot run swep: no such command; use sweep, test, .*help\n$/);
  for (const args of [[], ["help"], ["--help"]]) {
    const help = await launch(args);
    assertEquals([help.code, help.err], [0, ""]);
    for (const name of Object.keys(config.tasks)) assertStringIncludes(help.out, `  ${name} `);
  }
});

Deno.test("the launcher hands over to the task where nothing lies outside", async () => {
  for (const name of Object.keys(config.tasks)) {
    assertEquals(await dryRun([name, "--x", "a b", ""]), ["task", "-q", name, "--x", "a b", ""]);
  }
  assertEquals(await dryRun(["sweep", "--base", "lib", "--out=runs/a"]), [
    ...["task", "-q", "sweep", "--base", "lib", "--out=runs/a"],
  ]);
});

Deno.test("a folder outside extends the task's own permission set, as deno.json has it", () =>
  withFolder(async (outside) => {
    // predict's --out is a file, export's has another folder beside it, slurm is a way to run sweep:
    // see their own tests.
    const { test: _, predict: __, export: ___, slurm: ____, ...sets } = config.permissions;
    for (const [name, set] of Object.entries(sets)) {
      const own = (kind: "read" | "write") => (set as Record<string, string[]>)[kind] ?? [];
      const [run, q, noPrompt, named, ...rest] = await dryRun([name, `--out=${outside}/new`]);
      assertEquals([run, q, noPrompt, named], ["run", "-q", "--no-prompt", `-P=${name}`]);
      assertEquals(rest.slice(0, 2), [
        `--allow-read=${[...own("read"), `${outside}/new`]}`,
        `--allow-write=${[...own("write"), `${outside}/new`]}`,
      ]);
      const { command } = config.tasks[name as keyof typeof config.tasks];
      assertEquals(command, `deno run -q --no-prompt -P=${name} ${rest[2]}`);
      assertEquals(rest[3], `--out=${outside}/new`);
    }
  }));

Deno.test("read access is for what is named, write access for --out alone", () =>
  withFolder(async (outside) => {
    const sweep = await dryRun(["sweep", "--base", outside, "--seeds", "0", `--data=${outside}/d`]);
    assertEquals(sweep.slice(3), [
      "-P=sweep",
      `--allow-read=.,${outside},${outside}/d`,
      "experiments/sweep.ts",
      ...["--base", outside, "--seeds", "0", `--data=${outside}/d`],
    ]);
    const start = await dryRun(["sweep", `--start=${outside}/a`]);
    assertEquals(start.slice(4), [
      `--allow-read=.,${outside}/a`,
      "experiments/sweep.ts",
      `--start=${outside}/a`,
    ]);
    assertEquals((await dryRun(["sweep", "--start", `${outside}/a`]))[4], start[4]);
    // A value that happens to be a path opens nothing.
    assertEquals((await dryRun(["sweep", "--prefix", "/"]))[0], "task");
    const parity = await dryRun(["parity", "--all", outside]);
    assertEquals(parity.slice(3), [
      "-P=parity",
      `--allow-read=.,../shared,${outside}`,
      "experiments/parity.ts",
      ...["--all", outside],
    ]);
    // The base of a method's golden folder lies above it.
    await Deno.mkdir(`${outside}/lora`);
    await Deno.writeTextFile(`${outside}/config.json`, "{}");
    assertEquals(
      (await dryRun(["parity", `${outside}/lora`]))[4],
      `--allow-read=.,../shared,${outside}/lora,${outside}`,
    );
    const elsewhere = await dryRun(["sweep", "--base", "b", "--out", "o"], { cwd: outside });
    assertEquals(elsewhere.slice(4), [
      `--allow-read=.,${outside}/b,${outside}/o`,
      `--allow-write=runs,.cache,${outside}/o`,
      "experiments/sweep.ts",
      ...["--base", `${outside}/b`, "--out", `${outside}/o`],
    ]);
    assertEquals((await dryRun(["sweep", "--out", "results"])).slice(4, 6), [
      `--allow-read=.,${root}/results`,
      `--allow-write=runs,.cache,${root}/results`,
    ]);
    const comma = await launch(["sweep", "--base", `${outside}/a,b`], {
      env: { TUNEGRID_DRY_RUN: "1" },
    });
    assertEquals([comma.code, comma.out], [1, ""]);
    assertMatch(comma.err, /^error: Cannot open .*a,b: Deno takes no comma/);
  }));

Deno.test("a report is written where --out says, else into its folder of runs", () =>
  withFolder(async (outside) => {
    assertEquals((await dryRun(["report", outside])).slice(3, 6), [
      "-P=report",
      `--allow-read=.,${outside}`,
      `--allow-write=runs,${outside}`,
    ]);
    await Deno.mkdir(`${outside}/runs`);
    assertEquals(
      (await dryRun(["report", `${outside}/runs`, `--out=${outside}/out`])).slice(4, 6),
      [
        `--allow-read=.,${outside}/out,${outside}/runs`,
        `--allow-write=runs,${outside}/out`,
      ],
    );
    assertEquals((await dryRun(["status", outside])).slice(3, 6), [
      "-P=status",
      `--allow-read=.,${outside}`,
      "experiments/status.ts",
    ]);
  }));

Deno.test("what names a base or data set of the Hub is no path, --to of fetch is one", () =>
  withFolder(async (outside) => {
    const names = ["--base", "hf:a/b@main", "--data=glue:SST-2", "--base=embedded"];
    assertEquals(await dryRun(["sweep", ...names], { cwd: outside }), [
      ...["task", "-q", "sweep", ...names],
    ]);
    const fetch = ["fetch", "--data", "a/b", "--to", "t"];
    assertEquals((await dryRun(fetch, { cwd: outside })).slice(3), [
      "-P=fetch",
      `--allow-read=.,${outside}/t`,
      `--allow-write=.cache,${outside}/t`,
      "experiments/fetch.ts",
      ...["--data", "a/b", "--to", `${outside}/t`],
    ]);
    assertEquals(
      (await dryRun(["push", outside, "a/b"])).slice(3),
      ["-P=push", `--allow-read=.,${outside}`, "experiments/push.ts", outside, "a/b"],
    );
    assertEquals((await dryRun(["sweep", "--to=x"], { cwd: outside }))[3], "--to=x");
  }));

Deno.test("predict opens what it is given, and the folder of the file that it writes", () =>
  withFolder(async (outside) => {
    await Deno.mkdir(`${outside}/run`);
    const { command } = config.tasks.predict;
    const start = command.split(" ").slice(1, -1);
    const args = ["--run", `${outside}/run`, "--base=embedded", "--file", `${outside}/texts/a.csv`];
    assertEquals(await dryRun(["predict", ...args, `--out=${outside}/new/out.csv`]), [
      ...start,
      `--allow-read=.,${outside}/run,${outside}/texts/a.csv,${outside}/new`,
      `--allow-write=.cache,${outside}/new`,
      "experiments/predict.ts",
      ...[...args, `--out=${outside}/new/out.csv`],
    ]);
    const model = ["predict", "--model", "m", "--out", "o.jsonl", "a text/with a slash"];
    assertEquals((await dryRun(model, { cwd: outside })).slice(start.length), [
      `--allow-read=.,${outside}/m,${outside}`,
      `--allow-write=.cache,${outside}`,
      "experiments/predict.ts",
      ...["--model", `${outside}/m`, "--out", `${outside}/o.jsonl`, "a text/with a slash"],
    ]);
    // The beginning of an id is no path; runs may be read and not written.
    const id = ["--run", "12ab", "--runs=runs/x"];
    assertEquals(await dryRun(["predict", ...id]), ["task", "-q", "predict", ...id]);
    assertEquals((await dryRun(["predict", "--run=12ab"], { cwd: outside }))[3], "--run=12ab");
    assertEquals((await dryRun(["predict", "--out", "runs/x/p.csv"])).slice(start.length, -3), [
      `--allow-read=.,${root}/runs/x`,
      `--allow-write=.cache,${root}/runs/x`,
    ]);
  }));

Deno.test("export opens the run, and its folder with the one that it is written to first", () =>
  withFolder(async (outside) => {
    await Deno.mkdir(`${outside}/run`);
    const start = ["run", "-q", "--no-prompt", "-P=export"];
    const args = ["--run", `${outside}/run`, "--to", "peft", "--base=embedded"];
    assertEquals(await dryRun(["export", ...args, `--out=${outside}/new`]), [
      ...start,
      `--allow-read=.,${outside}/run,${outside}/new,${outside}/new.partial`,
      `--allow-write=exports,${outside}/new,${outside}/new.partial`,
      "experiments/export.ts",
      ...[...args, `--out=${outside}/new`],
    ]);
    const slash = await dryRun(["export", ...args, `--out=${outside}/new/`]);
    assert(slash[5].endsWith(`,${outside}/new.partial`), slash[5]);
    assertEquals(
      (await dryRun(["export", "--run=12ab", "--out", "o"], { cwd: outside })).slice(4),
      [
        `--allow-read=.,${outside}/o,${outside}/o.partial`,
        `--allow-write=exports,${outside}/o,${outside}/o.partial`,
        "experiments/export.ts",
        ...["--run=12ab", "--out", `${outside}/o`],
      ],
    );
    const inside = ["--run", "12ab", "--out", "exports/a"];
    assertEquals(await dryRun(["export", ...inside]), ["task", "-q", "export", ...inside]);
  }));

Deno.test("FFI is granted to ONNX Runtime's folder, where it computes alone", async () => {
  const { ffi: [folder] } = config.permissions.predict;
  assertEquals(folder, ONNX_RUNTIME_FOLDER);
  assertEquals(config.permissions.test.ffi, [folder]);
  const granted = [
    ...["--node-modules-dir=auto", "--lock=deno.onnx.lock", "-P=sweep"],
    `--allow-ffi=${folder}`,
  ];
  for (const args of [["--eval-backend", "ort"], ["--eval-backend=ort"]]) {
    assertEquals(await dryRun(["sweep", ...args]), [
      ...["run", "-q", "--no-prompt", ...granted, "experiments/sweep.ts", ...args],
    ]);
  }
  const webgpu = ["--eval-backend", "webgpu"];
  assertEquals(await dryRun(["sweep", ...webgpu]), ["task", "-q", "sweep", ...webgpu]);
});

Deno.test("a sweep on Slurm has a set of its own, which may run Slurm's programs alone", () =>
  withFolder(async (outside) => {
    const { slurm: { run, ...rest }, sweep } = config.permissions;
    assertEquals(run, ["sbatch", "squeue", "scancel"]);
    assertEquals(rest, sweep);
    const start = ["run", "-q", "--no-prompt", "-P=slurm"];
    for (const args of [["--executor", "slurm"], ["--executor=slurm", "--eval-backend=ort"]]) {
      assertEquals(await dryRun(["sweep", ...args]), [...start, "experiments/sweep.ts", ...args]);
      const experiment = ["experiment", "gpt2-lora", ...args];
      assertEquals(await dryRun(experiment), [
        ...[...start, "experiments/experiment.ts"],
        ...experiment.slice(1),
      ]);
    }
    const args = ["--out", `${outside}/o`, "--executor", "slurm"];
    assertEquals(await dryRun(["sweep", ...args]), [
      ...start,
      `--allow-read=.,${outside}/o`,
      `--allow-write=runs,.cache,${outside}/o`,
      "experiments/sweep.ts",
      ...args,
    ]);
    const local = ["sweep", "--executor", "local"];
    assertEquals(await dryRun(local), ["task", "-q", ...local]);
  }));

Deno.test("deno.onnx.lock adds ONNX Runtime to deno.lock, which nobody else fetches", async () => {
  interface Lock {
    specifiers: Record<string, string>;
    npm: Record<string, unknown>;
  }
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(name)) as Lock;
  const [lock, own] = [await read("deno.lock"), await read("deno.onnx.lock")];
  assertEquals(
    Object.keys(own.specifiers).filter((name) => !(name in lock.specifiers)),
    [ONNX_RUNTIME_PACKAGE],
    "run deno task predict --help where packages have changed, and leave ONNX Runtime out of deno.lock",
  );
  for (const part of ["specifiers", "npm"] as const) {
    for (const [name, value] of Object.entries(lock[part])) assertEquals(own[part][name], value);
  }
});

Deno.test("links are opened by their own name and by what they lead to", () =>
  withFolder(async (outside) => {
    await Deno.mkdir(`${outside}/real`);
    await Deno.symlink(`${outside}/real`, `${outside}/link`);
    const args = await dryRun(["sweep", "--data", `${outside}/link`]);
    assertEquals(args[4], `--allow-read=.,${outside}/real,${outside}/link`);
  }));

Deno.test("a missing driver is an error with the command to run", () =>
  withFolder(async (folder) => {
    const bin = await programs(folder, tools, {
      deno: denoScript,
      id: "echo 1000",
      uname: "echo Linux",
      "apt-get": "echo called >&2; exit 1",
    });
    const start = () =>
      launch(["sweep"], {
        clearEnv: true,
        env: { PATH: bin, HOME: folder, TUNEGRID_SYSROOT: folder },
      });
    const message = "error: Cannot find a Vulkan driver with its loader, and only root with " +
      "apt-get may install one; run: ";
    assertEquals(await start(), {
      code: 1,
      out: "",
      err: `${message}sudo apt-get install mesa-vulkan-drivers libvulkan1\n`,
    });
    await Deno.remove(`${bin}/apt-get`);
    await Deno.remove(`${bin}/id`);
    await Deno.writeTextFile(`${bin}/id`, "#!/bin/sh\necho 0\n", { mode: 0o755 });
    await Deno.writeTextFile(`${bin}/dnf`, "#!/bin/sh\n", { mode: 0o755 });
    assertEquals(
      (await start()).err,
      `${message}sudo dnf install mesa-vulkan-drivers vulkan-loader\n`,
    );
  }));

Deno.test("without Deno, or with one that is too old, npm is needed", () =>
  withFolder(async (folder) => {
    await Deno.copyFile(`${root}/tunegrid`, `${folder}/tunegrid`);
    const bin = await programs(folder, tools, { uname: "echo Linux" });
    const start = () =>
      launch(["sweep"], {
        launcher: `${folder}/tunegrid`,
        clearEnv: true,
        env: { PATH: bin, HOME: folder },
      });
    const missing = await start();
    assertEquals([missing.code, missing.out], [1, ""]);
    assertMatch(missing.err, /^error: Cannot install Deno 2\.\d+\.\d+: no npm found; install Node/);
    await Deno.writeTextFile(`${bin}/deno`, "#!/bin/sh\necho 'deno 2.4.1 (stable)'\n", {
      mode: 0o755,
    });
    assertEquals(await start(), missing);
  }));

Deno.test("tests go on without Chromium and Slurm where they may not be installed, and say so", () =>
  withFolder(async (folder) => {
    const project = `${folder}/project`;
    await Deno.mkdir(`${project}/lib/std/assert`, { recursive: true });
    await Deno.copyFile(`${root}/tunegrid`, `${project}/tunegrid`);
    await Deno.copyFile(`${root}/lib/std/assert/mod.ts`, `${project}/lib/std/assert/mod.ts`);
    const manifest = { tasks: { test: "deno run -q main.ts" } };
    await Deno.writeTextFile(`${project}/deno.json`, JSON.stringify(manifest));
    await Deno.writeTextFile(`${project}/main.ts`, `console.log("ran");`);
    const bin = await programs(folder, tools, {
      deno: denoScript,
      uname: "echo Elsewhere",
      id: "echo 1000",
    });
    const start = () =>
      launch(["test"], {
        launcher: `${project}/tunegrid`,
        clearEnv: true,
        env: { PATH: bin, HOME: folder, JSR_URL: "http://127.0.0.1:9/", NO_COLOR: "1" },
      });
    const without = await start();
    assertEquals([without.code, without.out], [0, "ran\n"], without.err);
    assertStringIncludes(without.err, "tunegrid: found no Chromium: the tests of reports in a");
    assertStringIncludes(
      without.err,
      "tunegrid: found no Slurm: the tests on a real one are skipped",
    );
    for (const name of ["chromium", "slurmctld", "slurmd", "munged", "sbatch"]) {
      await Deno.writeTextFile(`${bin}/${name}`, "#!/bin/sh\n", { mode: 0o755 });
    }
    const { err } = await start();
    assertEquals([err.includes("Chromium"), err.includes("Slurm")], [false, false]);
  }));

Deno.test("the first start sets up, the second starts at once", () =>
  withFolder(async (folder) => {
    const project = `${folder}/project`;
    await Deno.mkdir(`${project}/lib/std/assert`, { recursive: true });
    await Deno.copyFile(`${root}/tunegrid`, `${project}/tunegrid`);
    for (const file of ["deno.json", "mod.ts"]) {
      await Deno.copyFile(`${root}/lib/std/assert/${file}`, `${project}/lib/std/assert/${file}`);
    }
    const manifest = {
      tasks: { sweep: "deno run -q main.ts" },
      links: ["./.jsr/*"],
      imports: { "@std/assert": "jsr:@std/assert@^1.0.14" },
    };
    await Deno.writeTextFile(`${project}/deno.json`, JSON.stringify(manifest));
    await Deno.writeTextFile(
      `${project}/main.ts`,
      `import { assertEquals } from "@std/assert";\nconsole.log(typeof assertEquals, Deno.args);`,
    );
    const bin = await programs(folder, tools, { deno: denoScript, uname: "echo Elsewhere" });
    const start = () =>
      launch(["sweep", "a b"], {
        launcher: `${project}/tunegrid`,
        clearEnv: true,
        // Nothing listens there, as where JSR is out of reach.
        env: { PATH: bin, HOME: folder, JSR_URL: "http://127.0.0.1:9/", NO_COLOR: "1" },
      });
    const first = await start();
    assertEquals([first.code, first.out], [0, 'function [ "a b" ]\n'], first.err);
    assertMatch(first.err, /^tunegrid: JSR cannot be reached: linked the stand-ins of lib\/std/);
    const second = await start();
    assertEquals(second, { ...first, err: "" });
    // What is linked follows lib/std.
    const changed = `${project}/lib/std/assert/mod.ts`;
    await Deno.writeTextFile(changed, "export const assertEquals = 1;\n");
    assertEquals((await start()).out, 'number [ "a b" ]\n');
  }));
