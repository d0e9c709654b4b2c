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
  readonly computed_by: string;
}

/** The method of a row as a command line names it. */
function methodText({ method, settings, computed_by }: CountRow): string {
  const joined = (key: string) => (settings[key] as string[] | undefined)?.join("+") ?? "auto";
  const openDelta = computed_by.startsWith("opendelta");
  switch (method) {
    case "full":
    case "head":
      return method;
    case "lora":
      return openDelta
        ? `lora:semantics=opendelta;rank=${settings.r}`
        : `lora:semantics=peft;rank=${settings.r};alpha=${settings.alpha};targets=${
          joined("targets")
        }`;
    case "prompt_tuning":
      if (openDelta) return `soft_prompt:semantics=opendelta;tokens=${settings.soft_token_num}`;
      return `soft_prompt:semantics=peft;tokens=${settings.num_virtual_tokens};submodules=${settings.num_transformer_submodules}`;
    case "prefix_tuning":
      return `prefix:semantics=peft;tokens=${settings.num_virtual_tokens}`;
    case "ia3":
      return `ia3:semantics=peft;targets=${joined("targets")};feedforward=${joined("feedforward")}`;
    case "adapter_ffn":
      return `adapter:bottleneck=${settings.bottleneck};placement=ffn`;
    default:
      throw new TypeError(`Cannot count ${method}: it has no counterpart here`);
  }
}

fixtureTest("every count of other libraries comes out", async (fixtures) => {
  const { rows } = JSON.parse(
    await Deno.readTextFile(`${fixtures}/golden/parameter_counts.json`),
  ) as { rows: CountRow[] };
  const found = rows.map((row) => {
    const [name] = row.name.split(/[ ,]/);
    const { base, total, trainable } = count(name, methodText(row));
    // The language model itself: its output matrix is its embedding.
    const own = row.name.endsWith("language model head (tied)")
      ? { total: base, trainable: base }
      : { total, trainable };
    return `${row.name}, ${methodText(row)}: ${own.total} ${own.trainable}`;
  });
  assertEquals(
    found,
    rows.map((row) => `${row.name}, ${methodText(row)}: ${row.total} ${row.trainable}`),
  );
  assert(rows.length > 100, `only ${rows.length} rows`);
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
  assertMatch(
    error,
    /^error: Cannot use option "depth" of lora: no such option; it has semantics, rank,/,
  );
});
