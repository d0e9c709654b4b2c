/**
 * Writes the embedded tokenizer's module again:
 * `deno run --allow-read --allow-write=lib/data/embedded experiments/embedded_tokenizer.ts`
 *
 * @module
 */
import { trainEmbeddedTokenizer } from "../lib/data/corpus/embedded_vocabulary.ts";
import { writeFileAtomic } from "../lib/formats/atomic.ts";

/** The module's path in the project. */
export const TOKENIZER_MODULE = "lib/data/embedded/tokenizer.ts";

/** The module's text. */
export function tokenizerModule(): string {
  const { tokenizer, config } = trainEmbeddedTokenizer();
  const constant = (name: string, doc: string, value: unknown): string =>
    `/** ${doc} */\nexport const ${name}: Record<string, unknown> = JSON.parse(\n  ${
      quote(JSON.stringify(value))
    },\n);\n`;
  return [
    "// Made by experiments/embedded_tokenizer.ts; not to be edited.\n",
    "// deno-fmt-ignore-file\n\n",
    constant("TOKENIZER", "Content of the embedded tokenizer.json.", tokenizer),
    "\n",
    constant("TOKENIZER_CONFIG", "Content of the embedded tokenizer_config.json.", config),
  ].join("");
}

function quote(json: string): string {
  return `'${json.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

if (import.meta.main) await writeFileAtomic(TOKENIZER_MODULE, tokenizerModule());
