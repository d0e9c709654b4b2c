import { assertEquals, assertThrows } from "@std/assert";
import { parseMethods } from "../../lib/sweep/method_spec.ts";
import { registry } from "./fake_sweep.ts";

Deno.test("parseMethods() expands lists as a product and parts settings from options", () => {
  assertEquals(parseMethods(" lora:rank=1,8;lr=5e-3,1e-2;clip=none  full ", registry), [
    { name: "lora", options: { rank: 1 }, settings: { learningRate: 0.005, clipNorm: null } },
    { name: "lora", options: { rank: 1 }, settings: { learningRate: 0.01, clipNorm: null } },
    { name: "lora", options: { rank: 8 }, settings: { learningRate: 0.005, clipNorm: null } },
    { name: "lora", options: { rank: 8 }, settings: { learningRate: 0.01, clipNorm: null } },
    { name: "full", options: {}, settings: {} },
  ]);
  assertEquals(parseMethods("soft_prompt", registry)[0].options, { tokens: 10 });
});

Deno.test("parseMethods() refuses malformed text, unknown names and bad values", () => {
  const cases: [string, string][] = [
    ["", "the text is empty"],
    ["bitfit", 'Cannot use method "bitfit": no such method; use zero_shot, full, lora, soft_p'],
    ["toString", 'Cannot use method "toString": no such method'],
    ["lora;rank=8", "options follow a colon"],
    ["lora,full", "methods are separated by spaces"],
    ["lora:", 'Cannot read "" in method "lora:": must be option=value'],
    ["lora:rank", 'Cannot read "rank"'],
    ["lora:rank=", 'Cannot read "rank="'],
    ["lora:rank=1,,8", 'Cannot read "rank=1,,8"'],
    ["lora:rank=1;rank=2", "option rank is given twice"],
    ["lora:rnk=8", "Cannot use option rnk of lora: no such option; use rank"],
    ["lora:rank=0", "must be at least 1"],
    ["lora:rank=1.5", "must be at least 1"],
    ["lora:rank=0x8", "must be at least 1"],
    ["soft_prompt:tokens=-1", "must be at least 1"],
    ["lora:lr=fast", `Cannot use lora's lr "fast": must be a number above 0`],
    ["lora:epochs=0", "Cannot use lora's epochs 0"],
    ["full:decay=none", "must be matrices or all"],
  ];
  for (const [text, message] of cases) {
    assertThrows(() => parseMethods(text, registry), Error, message, text);
  }
});
