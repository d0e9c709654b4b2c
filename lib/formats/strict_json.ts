/**
 * `JSON.parse` that refuses an object with the same key twice, where `JSON.parse` would silently
 * keep the last one.
 *
 * @throws {SyntaxError} If the text is not JSON, or a key is repeated.
 */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw new SyntaxError(`the key ${repeated} is repeated`);
  return value;
}

/** Plain object, as JSON makes them. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Walks valid JSON; a string before a colon is a key of the innermost open object. */
function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  const token = /[{}[\]]|("[^"\\]*(?:\\.[^"\\]*)*")([ \t\n\r]*:)?/g;
  for (let m = token.exec(text); m !== null; m = token.exec(text)) {
    if (m[0] === "{" || m[0] === "[") open.push(new Set());
    else if (m[0] === "}" || m[0] === "]") open.pop();
    else if (m[2] !== undefined) {
      const key = JSON.parse(m[1]) as string;
      const keys = open[open.length - 1];
      if (keys.has(key)) return JSON.stringify(key);
      keys.add(key);
    }
  }
}
