import { assertEquals, assertThrows } from "@std/assert";
import { parseAxis } from "../../lib/sweep/method_axes.ts";
import { parseMethods } from "../../lib/sweep/method_spec.ts";
import { methods } from "../../lib/peft/index.ts";

Deno.test("linked values change together", () => {
  assertEquals(parseAxis("rank,alpha=1:2,8:16", "a test").points, [
    { options: { rank: 1, alpha: 2 }, settings: {} },
    { options: { rank: 8, alpha: 16 }, settings: {} },
  ]);
  const found = parseMethods("lora:rank,alpha=1:2,8:16;lr=1e-3,1e-2 full", methods);
  assertEquals(
    found.map(({ options, settings }) => [options.rank, options.alpha, settings?.learningRate]),
    [
      ...[[1, 2, 1e-3], [1, 2, 1e-2], [8, 16, 1e-3], [8, 16, 1e-2]],
      [undefined, undefined, undefined],
    ],
  );
});

Deno.test("parseAxis() refuses values that do not fit their names", () => {
  const cases: [string, string][] = [
    ["rank", 'Cannot read "rank" in a test: must be option=value'],
    ["rank=", 'Cannot read "rank="'],
    ["rank=1,", 'Cannot read "rank=1,"'],
    ["rank,=1:2", 'Cannot read "rank,=1:2"'],
    ["rank,alpha=1:", 'Cannot read "rank,alpha=1:"'],
    ["rank,alpha=1:2,8", "Cannot link rank and alpha in a test"],
    ["rank,rank=1:2", "Cannot link rank and rank"],
  ];
  for (const [text, message] of cases) {
    assertThrows(() => parseAxis(text, "a test"), TypeError, message, text);
  }
  assertThrows(() => parseAxis("lr=x", "a test"), RangeError, "a test's lr");
});
