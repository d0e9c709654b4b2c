import { assert, assertEquals, assertMatch } from "@std/assert";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { methods } from "../../lib/peft/index.ts";
import { parseMethods } from "../../lib/sweep/method_spec.ts";
import { countOf } from "../../lib/sweep/params.ts";
import { fixtureTest } from "../fixtures.ts";

const count = (name: string, method: string) =>
  countOf(knownConfigs[name], parseMethods(method, methods)[0], 2);

Deno.test("T5-small's parameters are counted from its configuration", () => {
  const base = 60_506_624;
  assertEquals(count("t5-small", "full"), { base, total: base, trainable: base });
  const expected: [string, number, number][] = [
    ["soft_prompt:tokens=10", 60_511_744, 5_120],
    ["adapter:bottleneck=8", 60_611_168, 104_544],
    ["lora:rank=8", 60_801_536, 294_912],
    ["lora:rank=1", 60_543_488, 36_864],
    ["zero_shot", 60_506_624, 0],
  ];
  for (const [method, total, trainable] of expected) {
    assertEquals(count("t5-small", method), { base, total, trainable }, method);
  }
});

Deno.test("Llama-3.2-1B's parameters are counted from its configuration", () => {
  const base = 1_235_814_400;
  const total = base + 4_096;
  assertEquals(count("Llama-3.2-1B", "head"), { base, total, trainable: 4_096 });
});

interface CountRow {
  readonly name: string;
  readonly method: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly total: number;
  readonly trainable: number;
}

fixtureTest("counts agree with those of other libraries", async (fixtures) => {
  const { rows } = JSON.parse(
    await Deno.readTextFile(`${fixtures}/golden/parameter_counts.json`),
  ) as { rows: CountRow[] };
  const models: Record<string, string> = {
    "t5-small": "t5-small",
    "Llama-3.2-1B, sequence classification, 2 labels": "Llama-3.2-1B",
  };
  const translated = ({ method, settings }: CountRow): string | null => {
    if (settings.note !== undefined) return null; // other sites or other prompts than here
    switch (method) {
      case "full":
      case "head":
        return method;
      case "lora":
        return `lora:rank=${settings.r};alpha=${settings.alpha}`;
      case "prompt_tuning":
        return `soft_prompt:tokens=${settings.num_virtual_tokens ?? settings.soft_token_num}`;
      case "adapter_ffn":
        return `adapter:bottleneck=${settings.bottleneck}`;
      default:
        return null;
    }
  };
  let compared = 0;
  for (const row of rows) {
    const method = translated(row);
    if (!Object.hasOwn(models, row.name) || method === null) continue;
    const { total, trainable } = count(models[row.name], method);
    assertEquals({ total, trainable }, { total: row.total, trainable: row.trainable }, method);
    compared++;
  }
  assert(compared >= 14, `only ${compared} counts were compared`);
});

async function params(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", "-P=params", "experiments/params.ts", ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

Deno.test("the params task prints the known models, under its own permissions", async () => {
  const { code, out } = await params();
  assertEquals(code, 0);
  for (const number of ["60,506,624", "60,511,744", "60,611,168", "60,801,536"]) {
    assertMatch(out, new RegExp(`\\b${number}\\b`));
  }
  assertMatch(out, /Head only +1,235,814,400 +1,235,818,496 +4,096 /);
});

Deno.test("the params task refuses what it does not know", async () => {
  const { code, error } = await params("t5-small", "--methods", "lora:depth=2");
  assertEquals(code, 1);
  assertMatch(error, /^error: Cannot use option "depth" of lora: no such option; it has rank,/);
});
