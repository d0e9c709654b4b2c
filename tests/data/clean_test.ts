import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { cleanText } from "../../lib/data/clean.ts";

Deno.test("cleanText() follows its stated rules", () => {
  assertEquals(cleanText("  a \t\r\n b\u00a0\u2003c\u0085d\ufeff "), "a b c d");
  assertEquals(cleanText("a\u0000b\u001b \u0007 \u009fc"), "ab c");
  assertEquals(cleanText("e\u0301 e\u0001\u0301"), "é é");
  assertEquals(cleanText("ﬁ ² 日本 👨\u200d👩"), "ﬁ ² 日本 👨\u200d👩");
  assertEquals(cleanText(" \n\u0000\t"), "");
});

Deno.test("cleaning twice is cleaning once, and leaves nothing that the rules forbid", () => {
  const odd = fc.constantFrom(
    " ",
    "\t",
    "\u0000",
    "\u0085",
    "\u2000",
    "e",
    "\u0301",
    "\u200d",
    "\ufeff",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(odd).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (text) => {
      const clean = cleanText(text);
      assertEquals(cleanText(clean), clean);
      assertEquals(/\p{Cc}|^ | $| {2}|[^\S ]/u.test(clean), false);
      assertEquals(clean.normalize("NFC"), clean);
    }),
    { numRuns: 300, seed: 2 },
  );
});
