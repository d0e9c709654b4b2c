import { assert, assertEquals, assertMatch } from "@std/assert";
import t5SmallSst2 from "../../experiments/t5_small_sst2.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { methods } from "../../lib/peft/index.ts";
import {
  compareLibraries,
  compareMain,
  comparisonText,
  libraryRow,
} from "../../lib/sweep/compare_libraries.ts";
import { parseMethods } from "../../lib/sweep/method_spec.ts";

const t5Small = knownConfigs["t5-small"];
const row = (method: string, config = t5Small) =>
  libraryRow(config, parseMethods(method, methods)[0], 2);

Deno.test("LoRA-8 on T5-small is 294,912 parameters in PEFT and 196,608 in OpenDelta", () => {
  const peft = row("lora:rank=8;semantics=peft");
  assertEquals([peft.trainable, peft.scaling, peft.note], [294_912, 1, null]);
  assertEquals(Object.fromEntries(peft.sites), {
    "SelfAttention.q": 12,
    "SelfAttention.v": 12,
    "EncDecAttention.q": 6,
    "EncDecAttention.v": 6,
  });
  const openDelta = row("lora:rank=8;semantics=opendelta");
  assertEquals([openDelta.trainable, openDelta.scaling], [196_608, 2]);
  assertEquals(Object.fromEntries(openDelta.sites), {
    "SelfAttention.q": 12,
    "SelfAttention.v": 12,
  });
  assertEquals(openDelta.note, "OpenDelta leaves cross-attention out");
});

Deno.test("what libraries count on T5-small under one name", () => {
  const expected: [string, number][] = [
    ["soft_prompt:tokens=10", 5_120],
    ["soft_prompt:tokens=10;semantics=peft", 10_240],
    ["soft_prompt:tokens=10;semantics=peft;submodules=1", 5_120],
    ["soft_prompt:tokens=10;semantics=opendelta", 5_120],
    ["soft_prompt:semantics=opendelta", 51_200],
    ["prefix:tokens=10;semantics=peft", 61_440],
    ["adapter:bottleneck=8", 104_544],
    ["adapter:bottleneck=8;semantics=adapterhub", 104_544],
    ["adapter:reduction=64;semantics=adapterhub", 104_544],
    ["adapter:bottleneck=8;semantics=opendelta", 209_088],
    ["lora:rank=1;semantics=peft", 36_864],
    ["ia3:semantics=peft", 43_008],
  ];
  for (const [method, trainable] of expected) {
    assertEquals(row(method).trainable, trainable, method);
  }
  assertMatch(
    row("soft_prompt:semantics=peft").note!,
    /20 rows are stored, .* the first 10 are fed/,
  );
});

Deno.test("sites, start and differing options are read off the attached method", () => {
  const openDelta = row("adapter:bottleneck=8;semantics=opendelta");
  assertEquals(Object.fromEntries(openDelta.sites), {
    "self-attention outputs": 12,
    "feed-forward outputs": 12,
  });
  assertEquals(openDelta.differs, { activation: "gelu_new", placement: "houlsby" });
  assertEquals(openDelta.usual, "24");
  assertEquals(openDelta.start, ["adapter_down N(0, 0.01)", "biases 0", "adapter_up N(0, 0.01)"]);
  assertEquals(row("adapter:semantics=adapterhub").usual, "width / 16");
  assertEquals(row("soft_prompt:semantics=peft").start, ["prompt_embeddings N(0, 1)"]);
  assertEquals(row("lora:dora=true").start, [
    "lora_A U(±0.0442)",
    "lora_B 0",
    "lora_magnitude_vector norms of W's rows",
  ]);
  const bert = knownConfigs["bert-base-uncased"];
  assertEquals(Object.fromEntries(row("ia3:semantics=peft", bert).sites), {
    "self.key": 12,
    "self.value": 12,
    "output.dense": 24,
  });
  assertMatch(row("ia3:semantics=peft", bert).note!, /matches the attention's output projection/);
});

Deno.test("every published row of T5-small stands beside what it belongs to", () => {
  const text = comparisonText("t5-small", t5Small, 2, t5SmallSst2.published);
  for (const { method, accuracy } of t5SmallSst2.published!.rows) {
    const { name, options } = parseMethods(method, methods)[0];
    if (methods[name].semantics === undefined) continue;
    const label = methods[name].label(options);
    const line = text.split("\n").find((line) =>
      line.startsWith(`${label}  `) || line.startsWith(`${label} [`)
    );
    assert(line?.endsWith(` ${accuracy.toFixed(1)} %`), `${label}: ${line}`);
  }
  assertMatch(text, /\n\[1\] PEFT keeps a prompt for encoder and decoder each/);
  const other = comparisonText("bert-tiny", knownConfigs["bert-tiny"], 2, t5SmallSst2.published);
  assertEquals(other.includes("published"), false);
});

Deno.test("every method with semantics is compared under each of them", () => {
  const rows = compareLibraries(t5Small, 2);
  for (const { name, semantics = [] } of Object.values(methods)) {
    const found = rows.filter(({ method }) => method.name === name);
    assertEquals(found.map(({ method }) => method.options.semantics), [...semantics], name);
  }
});

Deno.test("compare-libraries refuses what it does not know", async () => {
  const errors: string[] = [];
  const { error } = console;
  console.error = (message: string) => errors.push(message);
  try {
    assertEquals(await compareMain(["--rank", "8"]), 1);
    assertEquals(await compareMain(["t5-small", "--classes", "0"]), 1);
    assertEquals(await compareMain(["no/such/folder"]), 1);
  } finally {
    console.error = error;
  }
  assertMatch(errors[0], /Cannot use option --rank: no such option; there are --classes/);
  assertMatch(errors[1], /Cannot use --classes 0: must be a whole number above 0/);
  assertMatch(errors[2], /no\/such\/folder/);
});
