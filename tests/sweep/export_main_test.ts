/** The command: its options, what it prints, and that its own permission set is enough. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const RUNS = "runs/.export_test";
const OUT = "exports/.export_test";

async function task(name: "sweep" | "export", args: string[]) {
  const [, ...command] = config.tasks[name].command.split(" ");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("export finds a run by its id and writes it under its own permissions", async () => {
  try {
    const trained = await task("sweep", [
      ...["--methods", "lora:rank=1", "--train-size", "16", "--epochs", "1", "--batch", "8"],
      ...["--max-length", "16", "--out", RUNS],
    ]);
    assertEquals(trained.code, 0, trained.err);
    const names = (await Array.fromAsync(Deno.readDir(RUNS))).map(({ name }) => name);
    const id = names.find((name) => /^[0-9a-f]{16}$/.test(name))!;
    for (const to of ["peft", "onnx", "safetensors", "huggingface"]) {
      const args = ["--run", id.slice(0, 7), "--runs", RUNS, "--to", to, "--out", `${OUT}/${to}`];
      const merged = to === "huggingface" ? ["--merged"] : [];
      const { code, out, err } = await task("export", [...args, ...merged]);
      assertEquals([code, err], [0, ""]);
      const [first, ...files] = out.trimEnd().split("\n");
      assertEquals(first, `Exported LoRA, rank 1 (${id}) to ${OUT}/${to}:`);
      assert(files.length >= 4);
      for (const line of files) {
        const [, file, size] = /^ {2}(\S+) {2}([\d,]+) bytes$/.exec(line)!;
        assertEquals((await Deno.stat(`${OUT}/${to}/${file}`)).size, +size.replaceAll(",", ""));
      }
    }
    const again = await task("export", [
      ...["--run", `${RUNS}/${id}`, "--to", "peft", "--out", `${OUT}/peft`],
    ]);
    assertEquals([again.code, again.out], [1, ""]);
    assertMatch(again.err, /^error: Cannot export to .*: it is not empty; .*--force\n$/);
    const outside = await task("export", [
      ...["--run", `${RUNS}/${id}`, "--to", "peft", "--out", "/nowhere/that/may/be/written"],
    ]);
    assertStringIncludes(outside.err, "Deno was not granted this access");
  } finally {
    for (const folder of [RUNS, OUT]) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
    }
  }
});

Deno.test("export says what it is called without or with what it does not know", async () => {
  const wrong: [string[], string][] = [
    [[], "Cannot export without --run: use --run ID --to FORMAT --out DIR"],
    [["--run", "ab", "--to", "peft"], "Cannot export without --out"],
    [["--run", "ab", "--to", "gguf", "--out", "x"], "--to must be onnx or peft or"],
    [["--run", "ab", "--runs", "runs/.none", "--to", "peft", "--out", "x"], "Cannot find run ab"],
    [["--fast"], "Cannot use option --fast: no such option; there are --run, --to"],
    [["ab"], 'Cannot use argument "ab": only options are taken'],
  ];
  for (const [args, message] of wrong) {
    const { code, out, err } = await task("export", args);
    assertEquals([code, out], [1, ""]);
    assertStringIncludes(err, message);
  }
  const help = await task("export", ["--help"]);
  assertEquals([help.code, help.err], [0, ""]);
  assertStringIncludes(help.out, "deno task export --run ID --to FORMAT --out DIR");
});
