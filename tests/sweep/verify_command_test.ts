import { assertEquals, assertStringIncludes } from "@std/assert";
import { writePlaces } from "../../lib/sweep/tuned.ts";

/** What `checkPlaces` refuses in a process that may read some folders alone. */
async function refused(
  readable: readonly string[],
  runs: string,
  ids: readonly string[],
): Promise<string> {
  const script = `import { checkPlaces } from "${
    import.meta.resolve("../../lib/sweep/verify_command.ts")
  }";
    const [name, ...folders] = Deno.args;
    await checkPlaces(name, folders, {}).then(() => console.log("read"), (error) =>
      console.log(error.message));`;
  const file = `${runs}/script.ts`;
  await Deno.writeTextFile(file, script);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--no-check",
      "--frozen",
      "--no-prompt",
      `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
      `--allow-read=${readable.join(",")}`,
      file,
      "my runs",
      ...ids.map((id) => `${runs}/${id}`),
    ],
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test("where the base of runs may not be read, verify says the command that may", async () => {
  const runs = await Deno.makeTempDir();
  try {
    for (const id of ["a", "b"]) {
      await Deno.mkdir(`${runs}/${id}`);
      await writePlaces(`${runs}/${id}`, { base: "/models/it's", data: "/data/a.tsv" });
    }
    await Deno.mkdir(`${runs}/c`);
    await writePlaces(`${runs}/c`, { base: "embedded", data: "embedded" });
    const outside = await refused([runs], runs, ["a", "b"]);
    assertStringIncludes(outside, "lies outside of the folders that this command may read");
    assertEquals(outside.trimEnd().split("\n").slice(1), [
      `  ./tunegrid verify 'my runs' --base '/models/it'\\''s' --data /data/a.tsv`,
    ]);
    const mixed = await refused([runs], runs, ["a", "c"]);
    assertEquals(mixed.trimEnd().split("\n").slice(1), [
      `  ./tunegrid verify ${runs}/a --base '/models/it'\\''s' --data /data/a.tsv`,
      `  ./tunegrid verify ${runs}/c`,
    ]);
    assertEquals((await refused([runs, "/models", "/data"], runs, ["a", "c"])).trim(), "read");
    assertEquals((await refused([runs], runs, ["c"])).trim(), "read");
  } finally {
    await Deno.remove(runs, { recursive: true });
  }
});
