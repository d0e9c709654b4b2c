/** The sweep task as a process of its own, on the embedded base and data: tests kill it. */

const root = new URL("../../", import.meta.url);

/** Starts a sweep with its own permission set, opened to the folder of runs. */
export function startSweep(out: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    cwd: root,
    args: [
      ...["run", "-q", "--no-prompt", "--no-check", "-P=sweep"],
      ...[`--allow-read=.,${out}`, `--allow-write=${out}`],
      ...["experiments/sweep.ts", "--out", out, ...args],
    ],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for its end. */
export async function ended(
  child: Deno.ChildProcess,
): Promise<{ code: number; signal: string | null; out: string; err: string }> {
  const { code, signal, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, signal, out: text(stdout), err: text(stderr) };
}

/** Bytes of every file of every run that holds no time, by path. */
export async function runFiles(out: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { name: id, isDirectory } of Deno.readDir(out)) {
    if (!isDirectory) continue;
    for await (const { name } of Deno.readDir(`${out}/${id}`)) {
      if (name === "times.json") continue;
      const bytes = await Deno.readFile(`${out}/${id}/${name}`);
      const text = new TextDecoder("latin1").decode(bytes);
      // The project's own source may be edited while a test runs.
      found.set(`${id}/${name}`, text.replace(/"source": "[0-9a-f]{64}"/, '"source": ""'));
    }
  }
  return new Map([...found].sort());
}
