import { assertEquals, assertNotEquals } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import type { MethodOptions } from "../../lib/peft/method.ts";
import { type Packable, packDifference, packKey } from "../../lib/train/pack_key.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";

interface Given extends Partial<Pick<Packable, "seed" | "precision" | "resume">> {
  readonly options?: MethodOptions;
  readonly settings?: Partial<TrainSettings>;
}

function packable(name: string, { options = {}, settings = {}, ...rest }: Given = {}): Packable {
  return {
    method: methods[name],
    options: methods[name].parse(options),
    settings: trainSettings({ learningRate: 0.1, ...settings }),
    seed: 0,
    ...rest,
  };
}

const key = (name: string, given?: Given) => packKey(packable(name, given));
const LORA = key("lora");

Deno.test("packKey() joins methods, options and settings of the update", () => {
  assertEquals(key("adapter"), LORA);
  assertEquals(key("ia3", { options: { semantics: "peft" } }), LORA);
  assertEquals(key("lora", { options: { rank: 64, dora: true, dropout: 0.1 } }), LORA);
  const settings: Partial<TrainSettings> = {
    ...{ learningRate: 3, optimizer: "adafactor", weightDecay: 0, clipNorm: null },
    ...{ schedule: "cosine", warmup: 5, patience: 2, metric: "loss", keep: "best" },
  };
  assertEquals(key("lora", { settings }), LORA);
});

Deno.test("packKey() tells apart what gives other rows, other graphs or other steps", () => {
  for (
    const settings of [
      { epochs: 9 },
      { batchSize: 9 },
      { microBatch: 9 },
      { maxLength: 9 },
      { frozenDropout: 0.1 },
      { classWeights: "balanced" },
    ] as const
  ) assertNotEquals(key("lora", { settings }), LORA, Object.keys(settings)[0]);
  assertNotEquals(key("lora", { seed: 1 }), LORA);
  assertNotEquals(key("lora", { resume: { step: 4 } }), LORA);
  assertEquals(key("adapter", { resume: { step: 4 } }), key("lora", { resume: { step: 4 } }));
});

Deno.test("packKey() keeps apart what is better alone, or with its like", () => {
  for (const name of ["full", "bitfit", "zero_shot"]) assertEquals(key(name), null);
  const prompt = (tokens: number) => key("soft_prompt", { options: { tokens } });
  assertEquals(prompt(4), key("soft_prompt", { options: { tokens: 4, init: "random" } }));
  const keys = [LORA, key("head"), prompt(4), prompt(5), key("prefix", { options: { tokens: 4 } })];
  assertEquals(new Set(keys).size, keys.length);
});

Deno.test("packKey() in f16 joins one method's numbers alone", () => {
  const half = (name: string, options: MethodOptions = {}) =>
    key(name, { options, precision: "f16" });
  assertEquals(half("lora", { rank: 4, alpha: 3 }), half("lora"));
  const keys = [LORA, half("lora"), half("adapter"), half("lora", { dropout: 0.1 })];
  assertEquals(new Set(keys).size, keys.length);
});

Deno.test("packDifference() names what does not fit", () => {
  assertEquals(packDifference([packable("lora"), packable("adapter")]), null);
  assertEquals(packDifference([packable("lora"), packable("full")]), "full is better alone");
  assertEquals(
    packDifference([packable("lora"), packable("lora", { seed: 1 })])?.includes("differs from"),
    true,
  );
});
