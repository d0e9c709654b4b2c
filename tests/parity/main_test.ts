import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";
import { fixtureTest } from "../fixtures.ts";

/** Runs the task's script under its own permissions, and `folder` beside. */
async function parity(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--no-prompt",
      "-P=parity",
      `--allow-read=.,${folder}`,
      "experiments/parity.ts",
      ...args,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

fixtureTest("parity passes a method's folder with its base in the parent", async (fixtures) => {
  const dir = `${fixtures}/golden/llama/lora`;
  const { code, out } = await parity(fixtures, dir);
  assertEquals(code, 0);
  assertStringIncludes(
    out,
    "LoRA, rank 8, alpha 16, on q_proj+v_proj (PEFT), 94,144 parameters, 3,712 trainable\n",
  );
  assertMatch(out, /\nhidden\.2 +\S+ +\S+ +2\.0e-5 +ok\n/);
  assertMatch(out, /\nall final\.\*: \S+ % within 2\.0e-5 +99\.9 % +ok\n/);
  assertMatch(out, /\n26 checked, 0 out of tolerance, 0 not compared: passed\n/);
});

fixtureTest("parity with --all runs every folder of a family", async (fixtures) => {
  const { code, out } = await parity(fixtures, `${fixtures}/golden/llama/`, "--all");
  assertEquals(code, 0);
  const summary = out.slice(out.lastIndexOf("\nfolder "));
  assertEquals(summary.match(/ passed\n/g)?.length, 10);
  assertEquals(summary.match(/not run/g), null);
});

Deno.test("parity with --all names what it passes over", async () => {
  const parent = await Deno.makeTempDir();
  const dir = `${parent}/llama`;
  try {
    await Deno.mkdir(`${dir}/loha`, { recursive: true });
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ model_type: "llama" }));
    await Deno.writeTextFile(`${dir}/loha/adapter_config.json`, '{"peft_type":"LOHA"}');
    await Deno.writeFile(`${dir}/loha/adapter_model.safetensors`, new Uint8Array());
    const tensor = { shape: [1], data: Float32Array.of(1) };
    await writeSafetensors(`${dir}/loha/expected.safetensors`, new Map([["loss", tensor]]));
    const { out } = await parity(dir, dir, "--all");
    assertMatch(out, /\/loha +not run: .*peft_type "LOHA" is not supported, only IA3, LORA,/);
    // A folder of families is none itself.
    const above = await parity(parent, parent, "--all");
    assertMatch(above.out, /\/llama\/loha +not run: /);
    assertEquals([above.code, above.error], [0, ""]);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("parity fails where there is nothing to compare", async () => {
  const none = await parity("tests", "tests/parity");
  assertEquals(none.code, 1);
  assertMatch(none.error, /^error: Cannot check tests\/parity: it has no expected\.safetensors/);
  assertEquals((await parity("tests")).code, 1);
  const option = await parity("tests", "tests", "--fast");
  assertEquals(option.code, 1);
  assertMatch(option.error, /^error: Cannot use option --fast: no such option; there are --all/);
});

Deno.test("parity fails where one of several folders does, and says which", async () => {
  const { code, out } = await parity("tests", "tests/parity", "tests/models");
  assertEquals(code, 1);
  assertMatch(out, /\ntests\/models +FAILED: Cannot check tests\/models/);
});
