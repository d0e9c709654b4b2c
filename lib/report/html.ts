/** Text that is HTML already. */
export class Markup {
  /** Wraps HTML as it is. */
  constructor(readonly text: string) {}
}

/** What may stand in a template: text is escaped, null and false leave nothing. */
export type Content = Markup | string | number | null | false | readonly Content[];

/** Escapes what HTML reads as markup. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}

function written(content: Content): string {
  if (content === null || content === false) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "object") return content.map(written).join("");
  return escapeHtml(String(content));
}

/** HTML from a template, every value in it escaped unless it is markup itself. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  // The source's indentation says nothing to a reader of the page.
  const raw = parts.map((part) => part.replace(/\n\s*/g, "\n"));
  return new Markup(String.raw({ raw }, ...values.map(written)));
}

/** JSON that may stand in a script element. */
export function embedJson(value: unknown): Markup {
  return new Markup(JSON.stringify(value).replaceAll("<", "\\u003c"));
}
