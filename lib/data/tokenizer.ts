import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { readJsonFile } from "../formats/huggingface.ts";
import { isJsonObject, shown } from "../formats/strict_json.ts";
import { checkTokenizerJson } from "./tokenizer_check.ts";

/** Text to token ids and back. */
export interface Tokenizer {
  /**
   * Ids of a text, with the special tokens that the tokenizer's file adds.
   *
   * @param maxLength Longest result; what is beyond is cut off the end of the text, never the
   * special tokens.
   */
  encode(text: string, maxLength?: number): number[];
  /** Ids of a text alone, without special tokens. */
  encodeBare(text: string): number[];
  /** Text of ids, without special tokens. */
  decode(ids: readonly number[]): string;
  /** Id of a token, or undefined where there is none. */
  tokenToId(token: string): number | undefined;
  /** Highest id + 1. */
  readonly vocabSize: number;
  /** The id that fills up a batch: the pad token's or else the end's or else 0; always masked. */
  readonly padId: number;
  /** Id of the end of a sequence, where the tokenizer has one. */
  readonly eosId?: number;
  /** Id of the start of a sequence, where the tokenizer has one. */
  readonly bosId?: number;
  /**
   * Refuses an embedding that has no row for some of the ids.
   * @throws {RangeError} If there are such ids; the message names them.
   */
  checkFits(embeddingRows: number): void;
}

/**
 * Loads a tokenizer from tokenizer.json and, where it is there, tokenizer_config.json.
 *
 * @param dir Folder of both files.
 * @throws {Error} If tokenizer.json cannot be read.
 * @throws {TypeError} If one of the files is not what it should be.
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const json = await readJsonFile(`${dir}/tokenizer.json`);
  let config: Record<string, unknown> = {};
  try {
    config = await readJsonFile(`${dir}/tokenizer_config.json`);
  } catch (error) {
    if (!((error as Error).cause instanceof Deno.errors.NotFound)) throw error;
  }
  return makeTokenizer(json, config, dir);
}

/**
 * A tokenizer from what stands in its files, by @huggingface/tokenizers.
 *
 * @param json Content of tokenizer.json.
 * @param config Content of tokenizer_config.json; names the pad, end and start tokens.
 * @param name Name for error messages.
 * @throws {TypeError} If the files are not what they should be.
 */
export function makeTokenizer(
  json: Record<string, unknown>,
  config: Record<string, unknown> = {},
  name = "tokenizer",
): Tokenizer {
  const { inner, tokens } = build(json, config, name);
  const idOf = (role: string): number | undefined => {
    const entry = config[role];
    const token = isJsonObject(entry) ? entry.content : entry;
    if (token === undefined || token === null) return undefined;
    const id = typeof token === "string" ? inner.token_to_id(token) : undefined;
    if (id !== undefined) return id;
    throw new TypeError(
      `Cannot load tokenizer ${name}: its ${role} ${shown(token)} is not in its vocabulary`,
    );
  };
  const [eosId, bosId] = [idOf("eos_token"), idOf("bos_token")];
  const vocabSize = [...tokens.keys()].reduce((a, b) => Math.max(a, b), -1) + 1;
  const encoded = (text: string, add_special_tokens: boolean): number[] => {
    const { ids } = inner.encode(text, { add_special_tokens });
    if (ids.every((id) => tokens.has(id))) return ids;
    throw new TypeError(
      `Cannot encode ${shown(text)}: tokenizer ${name} has no id for some of its tokens`,
    );
  };
  const encode = (text: string): number[] => encoded(text, true);
  const encodeBare = (text: string): number[] => encoded(text, false);
  // Special tokens stand before and after the text's own; the sample tells how many of each.
  const [framed, bare] = [encode("a"), encodeBare("a")];
  const start = framed.findIndex((_, i) => bare.every((id, j) => framed[i + j] === id));
  const before = Math.max(0, start);
  const after = framed.length - bare.length - before;
  return {
    vocabSize,
    padId: idOf("pad_token") ?? eosId ?? 0,
    eosId,
    bosId,
    encode: (text, maxLength = Infinity) => {
      const ids = encode(text);
      if (ids.length <= maxLength) return ids;
      if (maxLength <= before + after) {
        throw new RangeError(
          `Cannot cut a text to ${maxLength} tokens: ${before + after} special tokens are added; ` +
            `at least ${before + after + 1} are needed`,
        );
      }
      return [...ids.slice(0, maxLength - after), ...ids.slice(ids.length - after)];
    },
    encodeBare,
    decode: (ids) => ids.length === 0 ? "" : inner.decode([...ids], { skip_special_tokens: true }),
    tokenToId: (token) => inner.token_to_id(token),
    checkFits: (rows) => {
      if (vocabSize <= rows) return;
      const beyond = [...tokens.keys()].filter((id) => id >= rows).sort((a, b) => a - b);
      const shown = beyond.slice(0, 3).map((id) => `${id} (${JSON.stringify(tokens.get(id))})`);
      throw new RangeError(
        `Cannot use tokenizer ${name} with an embedding of ${rows} rows: ${beyond.length} of its ` +
          `ids exceed it, from ${shown.join(", ")} to ${vocabSize - 1}; ` +
          "use the tokenizer that belongs to the model",
      );
    },
  };
}

/** The library's tokenizer, and the token of each id. */
function build(
  json: Record<string, unknown>,
  config: Record<string, unknown>,
  name: string,
): { inner: HuggingFaceTokenizer; tokens: Map<number, string> } {
  try {
    checkTokenizerJson(json);
    const inner = new HuggingFaceTokenizer(json, config);
    const tokens = new Map<number, string>();
    for (const [token, id] of inner.get_vocab()) tokens.set(Number(id), token);
    if (tokens.size === 0) throw new TypeError("its vocabulary is empty");
    for (const [id, token] of tokens) {
      if (!Number.isSafeInteger(id) || id < 0) {
        throw new TypeError(`token ${JSON.stringify(token)} has id ${id}`);
      }
    }
    // What only running it shows: a part that is missing, or does not fit another.
    const { ids } = inner.encode("a b");
    if (ids.length > 0) inner.decode(ids, { skip_special_tokens: true });
    return { inner, tokens };
  } catch (error) {
    throw new TypeError(
      `Cannot load tokenizer ${name}: tokenizer.json is not supported: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
