/** A tokenizer as Hugging Face writes it. */
export interface TokenizerFiles {
  /** Content of tokenizer.json. */
  readonly tokenizer: Record<string, unknown>;
  /** Content of tokenizer_config.json. */
  readonly config: Record<string, unknown>;
}

/** What a tokenizer is made for. */
export interface TokenizerOptions {
  /** Words that get a piece of their own even if no text has them, such as prompts and labels. */
  readonly words?: readonly string[];
  /** Number of sentinels `<extra_id_0>`, …; 20 by default. */
  readonly sentinels?: number;
}

/** Pieces that spell out what is no known word. */
const CHARACTERS = [..."abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"()-&%$/"];
/** How much less likely than the rarest word a character is, as a logarithm. */
const CHARACTER_PENALTY = 10;
const WORD_START = "▁";

/**
 * Trains a small unigram tokenizer in T5's form (`<pad>` 0, `</s>` 1, `<unk>` 2, sentinels last).
 *
 * Its pieces are the texts' words, scored by the logarithm of their relative frequency (for whole
 * words that is what expectation maximisation ends with), and single characters with lower scores
 * than every word: known words stay whole, anything else is spelt out. Text is put into Unicode's
 * NFKC form and lower case; the end of sequence is appended.
 *
 * @param texts Texts with words and punctuation set apart by single spaces.
 * @throws {RangeError} If there is no word to learn.
 * Source: Kudo, Subword Regularization, ACL 2018, §3.2 (the unigram language model).
 */
export function trainTokenizer(
  texts: Iterable<string>,
  { words = [], sentinels = 20 }: TokenizerOptions = {},
): TokenizerFiles {
  const counts = new Map<string, number>();
  const count = (word: string): void => void counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const text of texts) normalize(text).split(" ").filter((word) => word !== "").forEach(count);
  words.map(normalize).forEach(count);
  if (counts.size === 0) throw new RangeError("Cannot train a tokenizer: the texts have no words");

  const total = counts.values().reduce((sum, n) => sum + n, 0);
  const byFrequency = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  // Rounded, so that logarithms that differ in their last bit give the same file.
  const score = (n: number): number => Math.round(Math.log(n / total) * 1e4) / 1e4;
  const lowest = score(byFrequency.at(-1)![1]) - CHARACTER_PENALTY;
  const special = ["<pad>", "</s>", "<unk>"];
  const pieces: [string, number][] = [
    ...special.map((piece): [string, number] => [piece, 0]),
    ...byFrequency.map(([word, n]): [string, number] => [WORD_START + word, score(n)]),
    ...[WORD_START, ...CHARACTERS].map((piece): [string, number] => [piece, lowest]),
  ];
  const extra = Array.from({ length: sentinels }, (_, i) => `<extra_id_${sentinels - 1 - i}>`);
  const added = [
    ...special.map((content, id) => ({ id, content })),
    ...extra.map((content, i) => ({ id: pieces.length + i, content })),
  ];
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added.map(({ id, content }) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "NFKC" },
          { type: "Lowercase" },
          { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        ],
      },
      pre_tokenizer: {
        type: "Metaspace",
        replacement: WORD_START,
        prepend_scheme: "always",
        split: true,
      },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ Sequence: { id: "A", type_id: 0 } }, {
          SpecialToken: { id: "</s>", type_id: 0 },
        }],
        pair: [
          { Sequence: { id: "A", type_id: 0 } },
          { SpecialToken: { id: "</s>", type_id: 0 } },
          { Sequence: { id: "B", type_id: 0 } },
          { SpecialToken: { id: "</s>", type_id: 0 } },
        ],
        special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
      },
      decoder: {
        type: "Metaspace",
        replacement: WORD_START,
        prepend_scheme: "always",
        split: true,
      },
      model: { type: "Unigram", unk_id: 2, vocab: pieces, byte_fallback: false },
    },
    config: {
      eos_token: "</s>",
      unk_token: "<unk>",
      pad_token: "<pad>",
      additional_special_tokens: extra.toReversed(),
      extra_ids: sentinels,
      model_max_length: 512,
      tokenizer_class: "T5Tokenizer",
    },
  };
}

function normalize(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}
