/**
 * Names of classes by a data set's card: the YAML header of its README.md, as the Hub writes it.
 *
 * @module
 */

/** A line of YAML: how far it is indented, and what stands on it. */
interface Line {
  readonly indent: number;
  readonly text: string;
}

/**
 * The names of a column's classes, as the card beside a data file or in the folder above has them.
 *
 * @param path The data file.
 * @returns null where there is no card, where it does not tell, or where its configurations tell
 * different names and none of them has the name of the file's folder.
 */
export async function readCardClasses(path: string, column: string): Promise<string[] | null> {
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
  for (const place of [folder, `${folder}/..`]) {
    try {
      const card = await Deno.readTextFile(`${place}/README.md`);
      return cardClasses(card, column, (await Deno.realPath(folder)).split("/").pop()!);
    } catch {
      // None there, or none that may be read: names are a convenience.
    }
  }
  return null;
}

/**
 * The names of a column's classes by the text of a card.
 *
 * @param config The configuration that is meant where there are several.
 */
export function cardClasses(card: string, column: string, config: string): string[] | null {
  const header = /^---\n([\s\S]*?)\n---/.exec(card.replaceAll("\r\n", "\n"))?.[1];
  if (header === undefined) return null;
  const lines = header.split("\n").filter((line) => /^\s*[^\s#]/.test(line)).map((line): Line => ({
    indent: line.search(/\S/),
    text: line.trim(),
  }));
  const start = lines.findIndex(({ text }) => text === "dataset_info:");
  if (start < 0) return null;
  const found: { config: string | null; names: string[] }[] = [];
  let current: string | null = null;
  for (let i = start + 1; i < lines.length; i++) {
    const { indent, text } = lines[i];
    if (indent === 0 && !text.startsWith("- ")) break;
    current = value(text, "config_name") ?? current;
    if (value(text, "name") !== column || !text.startsWith("- ")) continue;
    const end = lines.findIndex((line, j) => j > i && line.indent <= indent);
    const names = namesIn(lines.slice(i + 1, end < 0 ? undefined : end));
    if (names !== null) found.push({ config: current, names });
  }
  const named = found.filter((one) => one.config === config);
  const [one, ...others] = named.length > 0 ? named : found;
  if (one === undefined) return null;
  return others.every(({ names }) => names.join("\n") === one.names.join("\n")) ? one.names : null;
}

/** The entries `'0': name` under `names:`, in the order of their numbers. */
function namesIn(lines: readonly Line[]): string[] | null {
  const at = lines.findIndex(({ text }) => text === "names:");
  if (at < 0 || !lines.slice(0, at).some(({ text }) => text === "class_label:")) return null;
  const names: string[] = [];
  for (const { indent, text } of lines.slice(at + 1)) {
    const [, id, name] = /^['"]?(\d{1,4})['"]?:\s*(.+)$/.exec(text) ?? [];
    if (id === undefined || indent <= lines[at].indent) break;
    names[Number(id)] = unquoted(name);
  }
  return names.length > 0 && Array.from(names).every((name) => name !== undefined) ? names : null;
}

function value(text: string, key: string): string | undefined {
  const [, found] = new RegExp(`^(?:- )?${key}:\\s*(.+)$`).exec(text) ?? [];
  return found === undefined ? undefined : unquoted(found);
}

function unquoted(text: string): string {
  return text.replace(/^(['"])(.*)\1$/, "$2");
}
