import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { reportFiles } from "../../lib/report/main.ts";
import { files, withFolder } from "./fake_sweep.ts";

/** Starts the fake sweep with the permissions of the sweep task, and nothing more. */
function start(folder: string, pause: number, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    cwd: new URL("../../", import.meta.url),
    args: [
      ...["run", "-q", "--no-prompt", `--allow-read=.,${folder}`, `--allow-write=${folder}`],
      ...["--allow-sys=hostname", "--allow-env=TUNEGRID_COMMIT"],
      ...["tests/sweep/fake_main.ts", String(pause), "--out", `${folder}/runs`, ...args],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function end(
  child: Deno.ChildProcess,
): Promise<{ code: number; signal: string | null; out: string; err: string }> {
  const { code, signal, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, signal, out: text(stdout), err: text(stderr) };
}

/** Waits until a path exists. */
async function until(path: RegExp, folder: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    const found = Object.keys(await files(folder).catch(() => ({})));
    if (found.some((name) => path.test(name))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no file like ${path} in ${folder}`);
}

async function whole(folder: string): Promise<void> {
  for (const [path, text] of Object.entries(await files(folder))) {
    assertEquals(path.endsWith(".tmp"), false, path);
    if (path.endsWith(".json")) JSON.parse(text);
    if (path.endsWith(".jsonl")) text.trimEnd().split("\n").map((line) => JSON.parse(line));
  }
}

Deno.test("main() prints the table and writes it, and does nothing twice", () =>
  withFolder(async (folder) => {
    const first = await end(start(folder, 0));
    assertEquals([first.code, first.err], [0, ""]);
    const lines = first.out.split("\n");
    assertMatch(lines[0], /^\[1\/4\] zero_shot, seed 0: accuracy \d+\.\d %, \d+\.\d s$/);
    assertEquals(lines.filter((line) => line.startsWith("[")).length, 4); // One for each cell.
    for (const row of ["approach", "zero_shot", "full", "lora rank 1", "lora rank 8"]) {
      assertEquals(lines.some((line) => line.startsWith(row)), true, row);
    }
    const before = await files(folder);
    const second = await end(start(folder, 0));
    assertEquals(second.code, 0);
    assertStringIncludes(second.out, "4 of 4 cells were done before");
    assertEquals(await files(folder), before);
  }));

Deno.test("--log-format json prints one line of JSON for each event, and no table", () =>
  withFolder(async (folder) => {
    const { code, out, err } = await end(start(folder, 0, "--log-format", "json"));
    assertEquals([code, err], [0, ""]);
    const events = out.trimEnd().split("\n").map((line) => JSON.parse(line));
    const of = (kind: string) => events.filter(({ event }) => event === kind);
    assertEquals([of("cell").length, of("done").length, of("end").length], [4, 4, 1]);
    const { done, skipped, failed } = events.at(-1);
    assertEquals([done, skipped, failed], [4, 0, 0]);
    const [epoch] = of("epoch").filter(({ approach }) => approach === "full");
    assertEquals([epoch.cell, epoch.seed, epoch.epoch], [2, 0, 1]);
    const latest = of("epoch").filter(({ cell }) => cell === 2).at(-1)!;
    assertEquals(of("done")[1].last.accuracy, latest.accuracy);
    const wrong = await end(start(folder, 0, "--log-format=xml"));
    assertEquals([wrong.code, wrong.out], [1, ""]);
    assertEquals(wrong.err, 'error: Cannot use --log-format "xml": must be text or json\n');
  }));

Deno.test("main() lists what a budget did not reach, and the same command does it", () =>
  withFolder(async (folder) => {
    // zero_shot takes 0.6 s, full 1.8 s: it begins within the budget, and goes on to its end.
    const args = ["--methods", "lora:rank=1,8 zero_shot full", "--choose", "none"];
    const turns = ["--methods", "zero_shot full lora:rank=1,8", "--budget", "1s"];
    const first = await end(start(folder, 600, ...turns));
    assertEquals([first.code, first.err], [0, ""]);
    const below = first.out.replace(/\s+/g, " ");
    assertStringIncludes(below, "Not run, as the budget of 1.0 s was over: 2 of 4 cells ");
    assertStringIncludes(below, "(lora rank 1: 1; lora rank 8: 1).");
    assertEquals(JSON.parse((await files(folder))["runs/sweep.json"]).choose, ["lr"]);
    // A report knows as well.
    const reported = async () => (await reportFiles(`${folder}/runs`, null))["table.md"];
    assertStringIncludes(
      await reported(),
      "Not run, as the budget of 1.0 s was over: 2 of 4 cells (lora rank 1: 1; lora rank 8: 1).",
    );
    const second = await end(start(folder, 0, ...args));
    assertStringIncludes(second.out, "2 of 4 cells were done before");
    assertEquals(second.out.includes("Not run"), false);
    assertEquals(JSON.parse((await files(folder))["runs/sweep.json"]).choose, []);
    assertEquals((await reported()).includes("Not run"), false);
  }));

Deno.test("main() shows each method with its best learning rate, and the CSV all", () =>
  withFolder(async (folder) => {
    const args = ["--methods", "full lora", "--lr", "0.001,0.5", "--seeds", "0,1"];
    const { code, out } = await end(start(folder, 0, ...args));
    assertEquals(code, 0);
    const rows = out.split("\n").filter((line) => /^(full|lora)/.test(line));
    assertEquals(rows.length, 2, out);
    assertStringIncludes(out.replace(/\s+/g, " "), "Each method was given 2 settings (lr)");
    const csv = (await files(folder))["runs/table.csv"].trimEnd().split(/\r?\n/);
    assertEquals(csv.length, 5); // A heading, and two settings of two methods.
    const all = await end(start(folder, 0, ...args, "--choose", "none"));
    assertEquals(all.out.split("\n").filter((line) => /^(full|lora)/.test(line)).length, 4);
  }));

Deno.test("main() says what is wrong and leaves with 1", () =>
  withFolder(async (folder) => {
    const cases: [string[], string][] = [
      [["--rank", "8"], "error: Cannot use option --rank: no such option"],
      [["--methods", "lora:rank=0"], "error: Cannot use rank 0 of lora: must be at least 1"],
      [["--base", "missing"], "error: Cannot read missing/config.json"],
      [["--out", "/nowhere-at-all/runs"], "error: Cannot write runs to /nowhere-at-all/runs"],
    ];
    const ends = await Promise.all(cases.map(([args]) => end(start(folder, 0, ...args))));
    for (const [i, [, message]] of cases.entries()) {
      assertEquals(ends[i].code, 1);
      assertStringIncludes(ends[i].err, message);
      assertEquals(ends[i].err.includes("    at "), false, "no stack");
    }
    const failing = await end(start(folder, 0, "--base", "failing"));
    assertEquals(failing.code, 1);
    assertStringIncludes(failing.out, "[2/4] full, seed 0: failed: Cannot allocate 9 bytes");
    assertStringIncludes(failing.out, "[4/4] lora rank 8, seed 0: accuracy");
    assertStringIncludes(failing.out, "Failed: full, seed 0: Cannot allocate 9 bytes");
    assertStringIncludes(failing.err, "error: 1 of 4 cells failed");
  }));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`main() stops at ${signal} with 130 and goes on where it was`, () =>
    withFolder(async (folder) => {
      const child = start(folder, 300);
      await until(/result\.json$/, folder);
      child.kill(signal);
      const stopped = await end(child);
      assertEquals([stopped.code, stopped.signal], [130, null]);
      assertMatch(
        stopped.err,
        new RegExp(`^Interrupted by ${signal}: [1-3] of 4 cells are done and kept in .*; the same`),
      );
      await whole(folder);
      const rest = await end(start(folder, 0));
      assertEquals(rest.code, 0);
      assertMatch(rest.out, /[1-3] of 4 cells were done before/);
      assertEquals(Object.keys(await files(folder)).length, 4 * 5 + 3);
    }));
}

Deno.test("main() asked twice ends at once where a person asks, else after its cell's grace", () =>
  Promise.all((["SIGINT", "SIGTERM"] as const).map((signal) =>
    withFolder(async (folder) => {
      const child = start(folder, 60_000); // Its first cell does not hear.
      await until(/metrics\.jsonl$/, folder);
      child.kill(signal);
      await new Promise((resolve) => setTimeout(resolve, 500));
      child.kill(signal);
      const { code, err } = await end(child);
      const told = "Interrupted by SIGTERM: 0 of 4 cells are done and kept in";
      assertEquals([code, err.slice(0, told.length)], [130, signal === "SIGINT" ? "" : told]);
    })
  )).then(() => {}));

Deno.test("main() stops while it prepares, too", () =>
  withFolder(async (folder) => {
    const child = start(folder, 0, "--base", "slow");
    await until(/preparing$/, folder);
    child.kill("SIGINT");
    const stopped = await end(child);
    assertEquals(stopped.code, 130);
    assertStringIncludes(stopped.err, "no cell was begun");
  }));

Deno.test("main() killed at any moment leaves no half-written result", () =>
  withFolder(async (folder) => {
    const child = start(folder, 200);
    await until(/metrics\.jsonl$/, folder);
    child.kill("SIGKILL");
    assertEquals((await end(child)).signal, "SIGKILL");
    for (const [path, text] of Object.entries(await files(folder))) {
      if (/^runs\/[0-9a-f]+\/[a-z]+\.json$/.test(path)) JSON.parse(text);
    }
    const rest = await end(start(folder, 0));
    assertEquals([rest.code, rest.err], [0, ""]);
  }));
