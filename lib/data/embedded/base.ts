/**
 * The base that comes with the project: a small T5 pretrained by `deno task pretrain` on sentences of
 * the embedded grammar.
 *
 * @module
 */

import { digestJson, sha256 } from "../../formats/digest.ts";
import { parseHeader, type TensorInfo } from "../../formats/safetensors.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer.ts";
import { EMBEDDED_ARCHITECTURE } from "./recipe.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "./tokenizer.ts";
import { WEIGHTS } from "./weights.ts";

/** The embedded base's parts. */
export interface EmbeddedBase {
  /** Its `config.json`. */
  readonly config: Record<string, unknown>;
  readonly source: {
    names(): string[];
    has(name: string): boolean;
    info(name: string): TensorInfo;
    read(name: string): Promise<Float32Array<ArrayBuffer>>;
  };
  readonly tokenizer: Tokenizer;
  readonly digest: string;
  readonly tokenizerDigest: string;
}

/** `config.json` of a base with the embedded tokenizer. */
export function embeddedConfig(tokenizer: Tokenizer): Record<string, unknown> {
  return { ...EMBEDDED_ARCHITECTURE, vocab_size: tokenizer.vocabSize };
}

/** The embedded tokenizer: words, with `</s>` appended. */
export function embeddedTokenizer(): Tokenizer {
  return makeTokenizer(TOKENIZER, TOKENIZER_CONFIG, "embedded tokenizer");
}

/** Unpacks the embedded base. */
export function embeddedBase(): EmbeddedBase {
  const bytes = Uint8Array.from(atob(WEIGHTS), (character) => character.charCodeAt(0));
  const { tensors } = parseHeader(bytes, bytes.length, "embedded weights");
  const tokenizer = embeddedTokenizer();
  const config = embeddedConfig(tokenizer);
  const info = (name: string): TensorInfo => {
    const found = tensors.get(name);
    if (found === undefined) {
      throw new RangeError(`Cannot read ${name}: the embedded base lacks it`);
    }
    return found;
  };
  return {
    config,
    source: {
      names: () => [...tensors.keys()],
      has: (name) => tensors.has(name),
      info,
      read: (name) => {
        const { begin, end } = info(name);
        return Promise.resolve(new Float32Array(bytes.slice(begin, end).buffer));
      },
    },
    tokenizer,
    digest: digestJson({ config, weights: sha256(bytes) }),
    tokenizerDigest: digestJson({ tokenizer: TOKENIZER, config: TOKENIZER_CONFIG }),
  };
}
