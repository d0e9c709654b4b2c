/** Objects and lists inside each other; more is an attack or damage, and would exhaust the stack. */
const MAX_DEPTH = 100;

/**
 * `JSON.parse` that refuses an object with the same key twice, where `JSON.parse` would silently
 * keep the last one, and more than 100 objects and lists inside each other.
 *
 * @throws {SyntaxError} If the text is not JSON, a key is repeated, or it is nested too deeply.
 */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  checkWalk(text);
  return value;
}

/** A value for an error message: its JSON, cut where it is long; `none` where there is none. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}

/** Plain object, as JSON makes them. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Walks valid JSON; a string before a colon is a key of the innermost open object. */
function checkWalk(text: string): void {
  const open: Set<string>[] = [];
  const token = /[{}[\]]|("[^"\\]*(?:\\.[^"\\]*)*")([ \t\n\r]*:)?/g;
  for (let m = token.exec(text); m !== null; m = token.exec(text)) {
    if (m[0] === "{" || m[0] === "[") {
      open.push(new Set());
      if (open.length > MAX_DEPTH) {
        throw new SyntaxError(`it is nested more than ${MAX_DEPTH} levels deep`);
      }
    } else if (m[0] === "}" || m[0] === "]") open.pop();
    else if (m[2] !== undefined) {
      const key = JSON.parse(m[1]) as string;
      const keys = open[open.length - 1];
      if (keys.has(key)) throw new SyntaxError(`the key ${shown(key)} is repeated`);
      keys.add(key);
    }
  }
}
