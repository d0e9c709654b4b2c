import { assertEquals } from "@std/assert";
import { readSummary, skippedTests } from "./test_output.ts";

Deno.test("readSummary() reads the last summary line, with and without steps", () => {
  assertEquals(readSummary("ok | 3 passed | 0 failed (12ms)\n"), {
    passed: 3,
    failed: 0,
    ignored: 0,
  });
  assertEquals(
    readSummary("x ... ok\n\nFAILED | 12 passed (3 steps) | 2 failed (1 step) | 4 ignored (1s)\n"),
    { passed: 12, failed: 2, ignored: 4 },
  );
  assertEquals(readSummary("error: Module not found"), { passed: 0, failed: 0, ignored: 0 });
});

Deno.test("skippedTests() names what was ignored", () => {
  const text = "a ... ok (1ms)\nb (ignored: no data) ... ignored (0ms)\nc ... FAILED (1ms)\n";
  assertEquals(skippedTests(text), ["b (ignored: no data)"]);
});
