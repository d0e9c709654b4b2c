/**
 * The published experiments, each to its table: on small models of their own architectures and real
 * sentences, shortened in the ordinary tests, longer in `./tunegrid test --all`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { fixtures } from "../fixtures.ts";
import { type smallConfigs, writeSmallBase } from "./small_base.ts";

const FAMILIES = ["t5", "bert", "gpt2"] as const;

interface Case {
  readonly name: string;
  /** A family of small bases, or the small Llama, which is there as it is. */
  readonly base: keyof typeof smallConfigs | "llama";
  /** The first column of its table. */
  readonly approaches: readonly string[];
  /** What else is asked for. */
  readonly args?: readonly string[];
}

const cases: readonly Case[] = [
  {
    name: "t5-small-sst2",
    base: "t5",
    approaches: [
      "Full fine-tuning",
      "Soft prompt, 10 tokens",
      "Soft prompt, 10 tokens (OpenDelta)",
      "Soft prompt, 1 token (OpenDelta)",
      "Adapter, bottleneck 8",
      "Adapter, bottleneck 8 (AdapterHub)",
      "Adapter, bottleneck 1 (AdapterHub)",
      "LoRA, rank 8",
      "LoRA, rank 8 (PEFT)",
      "LoRA, rank 1 (PEFT)",
    ],
  },
  { name: "gpt2-lora", base: "gpt2", approaches: ["Zero-shot", "LoRA, rank 8, dropout 0.1"] },
  { name: "llama-frozen-head", base: "llama", approaches: ["Zero-shot", "Head only"] },
  { name: "bert-finetune", base: "bert", approaches: ["Zero-shot", "Full fine-tuning"] },
  { name: "frozen-encoder", base: "bert", approaches: ["Head only"] },
  { name: "frozen-encoder", base: "t5", approaches: ["Head only"] },
];

/** Where an experiment's base and data lie. */
interface Places {
  readonly bases: Readonly<Record<Case["base"], string>>;
  /** SST-2, or its first sentences. */
  readonly data: string;
  readonly folder: string;
}

/** Runs a case, and checks its table. */
async function check(one: Case, { bases, data, folder }: Places, args: string[]): Promise<string> {
  // Its fifth for validation is cut from the training file.
  const from = one.name === "llama-frozen-head" ? trainingFile(data) : data;
  const out = `${folder}/runs/${one.name}-${one.base}`;
  const text = await run(
    one.name,
    [folder, ...Object.values(bases), data],
    [...["--base", bases[one.base], "--data", from, "--out", out], ...one.args ?? [], ...args],
  );
  const table = await Deno.readTextFile(`${out}/table.md`);
  const [head, , ...rows] = table.split("\n").filter((line) => line.startsWith("|"));
  assertEquals(rows.map((row) => row.split(" | ")[0].slice(2)), one.approaches);
  for (const name of ["max. val. accuracy %", "precision %", "recall %", "F1 %"]) {
    assertStringIncludes(head, ` ${name} |`);
  }
  for (const row of rows) assertMatch(row, /\| \d+\.\d \|/);
  return text;
}

function trainingFile(data: string): string {
  for (const { name } of Deno.readDirSync(data)) {
    if (name.startsWith("train.tsv")) return `${data}/${name}`;
  }
  throw new Error(`no train.tsv in ${data}`);
}

/** Runs the task as deno.json has it, with access to some folders besides, as the launcher does. */
async function run(name: string, folders: readonly string[], args: string[]): Promise<string> {
  const [, ...command] = config.tasks.experiment.command.split(" ");
  const { read, write } = config.permissions.experiment;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...command.slice(0, -1),
      `--allow-read=${[...read, ...folders]}`,
      `--allow-write=${[...write, folders[0]]}`,
      command.at(-1)!,
      name,
      ...args,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([code, text(stderr)], [0, ""], `${name}: ${text(stdout)}`);
  return text(stdout);
}

async function makePlaces(fixtures: string, folder: string): Promise<Places> {
  const bases: Record<string, string> = { llama: `${fixtures}/data/stories260K-hf` };
  for (const family of FAMILIES) {
    bases[family] = `${folder}/${family}`;
    await Deno.mkdir(bases[family]);
    await writeSmallBase(bases[family], family, fixtures);
  }
  return { bases: bases as Places["bases"], data: `${fixtures}/data/sst2`, folder };
}

/** The first sentences of SST-2: 240 to train, 48 to validate. */
async function shortData(data: string, folder: string): Promise<string> {
  const packed = await Deno.open(trainingFile(data));
  const plain = packed.readable.pipeThrough(new DecompressionStream("gzip"));
  const files = { train: [await new Response(plain).text(), 240] } as Record<
    string,
    [string, number]
  >;
  files.dev = [await Deno.readTextFile(`${data}/dev.tsv`), 48];
  await Deno.mkdir(`${folder}/short`);
  for (const [name, [text, rows]] of Object.entries(files)) {
    const lines = text.split("\n").slice(0, rows + 1);
    await Deno.writeTextFile(`${folder}/short/${name}.tsv`, lines.join("\n") + "\n");
  }
  return `${folder}/short`;
}

const found = fixtures();
const without = found === null ? " (ignored: no data/ in ../shared; see TUNEGRID_FIXTURES)" : "";
const all = Deno.env.get("TUNEGRID_ALL") === "1";

async function inFolder(fn: (places: Places) => Promise<void>): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    await fn(await makePlaces(await Deno.realPath(found!), folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: `every published experiment ends with its table, shortened${without}`,
  ignore: found === null,
  fn: () =>
    inFolder(async (places) => {
      const data = await shortData(places.data, places.folder);
      for (const one of cases) {
        const text = await check(one, { ...places, data }, [
          ...["--epochs", "1", "--train-size", "32", "--batch", "8", "--max-length", "32"],
        ]);
        if (one.name === "t5-small-sst2") {
          assertMatch(text, /Published: the T5-small table on SST-2/);
          assertMatch(text, /LoRA, rank 1 \(PEFT\) .* 88\.8 /);
        }
      }
    }),
});

Deno.test({
  name: `every published experiment ends with its table, on 2,000 sentences and all that validate${
    without || (all ? "" : " (runs with ./tunegrid test --all)")
  }`,
  ignore: found === null || !all,
  fn: () =>
    inFolder(async (places) => {
      for (const one of cases) {
        const args = ["--epochs", "2", "--train-size", "2000", "--batch", "32"];
        console.log(await check(one, places, [...args, "--max-length", "64"]));
      }
    }),
});

for (const { name, approaches } of cases) {
  Deno.test(`${name} shows its plan from configurations alone, within ten seconds`, async () => {
    const started = performance.now();
    const text = await run(name, ["."], ["--dry-run"]);
    assert(performance.now() - started < 10_000);
    for (const approach of approaches) assertStringIncludes(text, `\n${approach} `);
    assertMatch(text, /approach +parameters +trained .*weights +trainable +optimizer +activations/);
    assertMatch(text, /Base: hf:[\w/.-]+@[0-9a-f]{40}\nData: SST-2, /);
  });
}

Deno.test("an experiment without its base says which it is and how to come by it", async () => {
  const [, ...command] = config.tasks.experiment.command.split(" ");
  const out = await Deno.makeTempDir();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...command.slice(0, -1),
      `--allow-write=${out}`,
      `--allow-read=.,${out}`,
      command.at(-1)!,
      ...["gpt2-lora", "--out", out],
    ],
  }).output();
  assertEquals(code, 1);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^error: Cannot open base openai-community\/gpt2: .*fetch openai-community\/gpt2 --revision 607a30d7.*--base, or .*--dry-run\n$/,
  );
  await Deno.remove(out, { recursive: true });
});
