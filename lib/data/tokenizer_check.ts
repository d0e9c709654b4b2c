/**
 * Whether a tokenizer.json has the types that its format gives it; the library that runs it takes
 * them on trust, and loops without end on some that it does not have.
 *
 * Format: https://huggingface.co/docs/tokenizers (what `Tokenizer.save` writes).
 *
 * @module
 */

import { isJsonObject, shown } from "../formats/strict_json.ts";

/** Ids, lengths and counts beyond this belong to no tokenizer. */
const MAX = 2 ** 24;

type Check = readonly [holds: (value: unknown) => boolean, rule: string];

const isText = (value: unknown): boolean => typeof value === "string";
const isSize = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX;
const isList = (value: unknown, check: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(check);
const isPair = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && isText(value[0]) && isSize(value[1]);
const isPattern = ({ String: literal, Regex: regex, ...rest }: Record<string, unknown>): boolean =>
  Object.keys(rest).length === 0 && (literal === undefined) !== (regex === undefined) &&
  isText(literal ?? regex) && (literal ?? regex) !== "";

const text: Check = [isText, "a text"];
const filled: Check = [(value) => isText(value) && value !== "", "a text of some length"];
const flag: Check = [(value) => typeof value === "boolean", "true or false"];
const size: Check = [isSize, `a whole number from 0 to ${MAX}`];
const one: Check = [(value) => isSize(value) && value !== 0, `a whole number from 1 to ${MAX}`];
const parts: Check = [(value) => isList(value, isJsonObject), "a list of objects"];
const pair: Check = [isPair, "a token and its id"];

/** Fields of normalizers, pre-tokenizers, models, post-processors and decoders; null stands for none. */
const FIELDS: Readonly<Record<string, Check>> = {
  add_prefix_space: flag,
  behavior: text,
  byte_fallback: flag,
  clean_text: flag,
  cleanup: flag,
  cls: pair,
  content: text,
  continuing_subword_prefix: text,
  continuing_subword_suffix: text,
  decoders: parts,
  end_of_word_suffix: text,
  fuse_unk: flag,
  handle_chinese_chars: flag,
  ignore_merges: flag,
  individual_digits: flag,
  invert: flag,
  length: one,
  lowercase: flag,
  max_input_chars_per_word: size,
  normalizers: parts,
  pad_token: text,
  pattern: [
    (value) => isText(value) || isJsonObject(value) && isPattern(value),
    "a text, or an object with String or Regex",
  ],
  precompiled_charsmap: text,
  prefix: text,
  prepend: text,
  prepend_scheme: text,
  pretokenizers: parts,
  processors: parts,
  replacement: filled,
  sep: pair,
  split: flag,
  start: size,
  stop: size,
  str_rep: text,
  strip_accents: flag,
  strip_left: flag,
  strip_right: flag,
  suffix: text,
  trim_offsets: flag,
  type: [(value) => isText(value) && (value as string).length <= 100, "a text"],
  unk_id: size,
  unk_token: text,
  use_regex: flag,
  word_delimiter_token: text,
};

/** Fields of a component that hold components. */
const NESTED = ["normalizers", "pretokenizers", "processors", "decoders"];

/** @throws {TypeError} Naming the first field that is not of its type. */
export function checkTokenizerJson(json: Readonly<Record<string, unknown>>): void {
  checkAdded(json.added_tokens);
  checkModel(json.model);
  for (const key of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) {
    const component = json[key] ?? null;
    if (component === null) continue;
    if (!isJsonObject(component)) refuse(key, "an object", component);
    checkComponent(component, key);
  }
}

function checkComponent(component: Record<string, unknown>, path: string): void {
  if (!isText(component.type)) refuse(`${path}.type`, "a text", component.type);
  checkFields(component, path);
  for (const key of NESTED) {
    const inner = (component[key] ?? []) as Record<string, unknown>[];
    inner.forEach((item, i) => checkComponent(item, `${path}.${key}[${i}]`));
  }
  if (component.type === "Sequence" && NESTED.every((key) => component[key] == null)) {
    refuse(path, "a list of components", component);
  }
  if (component.type === "TemplateProcessing") checkTemplate(component, path);
}

function checkFields(component: Record<string, unknown>, path: string): void {
  for (const [key, value] of Object.entries(component)) {
    if (value === null || !Object.hasOwn(FIELDS, key)) continue;
    const [holds, rule] = FIELDS[key];
    if (!holds(value)) refuse(`${path}.${key}`, rule, value);
  }
}

function checkTemplate(template: Record<string, unknown>, path: string): void {
  const { single, pair = [], special_tokens: special } = template;
  const isId = (value: unknown): boolean => isJsonObject(value) && isText(value.id);
  const isPiece = (value: unknown): boolean =>
    isJsonObject(value) && (isId(value.Sequence) || isId(value.SpecialToken));
  for (const [key, list] of Object.entries({ single, pair })) {
    if (!isList(list, isPiece)) {
      refuse(`${path}.${key}`, "a list of Sequence or SpecialToken", list);
    }
  }
  const isToken = (value: unknown): boolean =>
    isJsonObject(value) && isText(value.id) && isList(value.ids, isSize) &&
    isList(value.tokens, isText);
  if (!isJsonObject(special) || !Object.values(special).every(isToken)) {
    refuse(`${path}.special_tokens`, "tokens with id, ids and tokens", special);
  }
}

function checkAdded(added: unknown): void {
  const flags = ["single_word", "lstrip", "rstrip", "normalized", "special"];
  const isToken = (value: unknown): boolean =>
    isJsonObject(value) && isSize(value.id) && isText(value.content) && value.content !== "" &&
    flags.every((key) => ["boolean", "undefined"].includes(typeof value[key]));
  if (isList(added, isToken)) return;
  const wrong = Array.isArray(added) ? added.find((token) => !isToken(token)) : added;
  refuse("added_tokens", "a list of tokens with id, content and flags", wrong);
}

function checkModel(model: unknown): void {
  if (!isJsonObject(model)) return refuse("model", "an object", model);
  checkFields(model, "model");
  const { vocab, merges, unk_id: unknown } = model;
  if (Array.isArray(vocab)) {
    const isPiece = (value: unknown): boolean =>
      Array.isArray(value) && value.length === 2 && isText(value[0]) &&
      Number.isFinite(value[1]);
    const wrong = vocab.find((piece) => !isPiece(piece));
    if (wrong !== undefined) refuse("model.vocab", "pairs of a text and its score", wrong);
    if (typeof unknown === "number" && unknown >= vocab.length) {
      refuse("model.unk_id", "the place of a piece", unknown);
    }
  } else if (!isJsonObject(vocab)) refuse("model.vocab", "an object or a list", vocab);
  else {
    const wrong = Object.values(vocab).find((id) => !isSize(id));
    if (wrong !== undefined) refuse("model.vocab", `ids from 0 to ${MAX}`, wrong);
  }
  if ((model.type === "Unigram") !== Array.isArray(vocab) && model.type !== undefined) {
    refuse("model.vocab", `that of its type ${shown(model.type)}`, vocab);
  }
  const isMerge = (value: unknown): boolean =>
    isText(value) && (value as string).includes(" ") ||
    isList(value, isText) && (value as unknown[]).length === 2;
  const isBpe = model.type === "BPE" || merges !== undefined;
  if (isBpe && !isList(merges, isMerge)) refuse("model.merges", "a list of pairs of texts", merges);
}

function refuse(field: string, rule: string, found: unknown): never {
  throw new TypeError(`${field} must be ${rule}, found ${shown(found)}`);
}
