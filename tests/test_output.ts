/**
 * Reads what `deno test` printed without colours.
 *
 * @module
 */

/** How many tests passed, failed and were ignored, by the last summary line; zeros without one. */
export function readSummary(text: string): { passed: number; failed: number; ignored: number } {
  const lines = text.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(.*)$/gm);
  const last = [...lines].at(-1);
  if (!last) return { passed: 0, failed: 0, ignored: 0 };
  const ignored = /\| (\d+) ignored/.exec(last[3]);
  return { passed: +last[1], failed: +last[2], ignored: ignored ? +ignored[1] : 0 };
}

/** Names of the tests that were ignored; a name holds the reason. */
export function skippedTests(text: string): string[] {
  return [...text.matchAll(/^(.*) \.\.\. ignored(?: \(.*\))?$/gm)].map(([, name]) => name.trim());
}
