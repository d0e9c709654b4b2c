import { Random } from "../random.ts";
import type { CorpusPart } from "./frames.ts";
import { type KindMix, makeSentence, pickKind, type Sentence } from "./grammar.ts";

/** The labelled splits of the embedded corpus. */
export interface EmbeddedCorpus {
  readonly train: readonly Sentence[];
  readonly validation: readonly Sentence[];
  readonly test: readonly Sentence[];
}

/** Sentences of each labelled split. */
export const SPLIT_SIZES = { train: 1600, validation: 480, test: 480 } as const;

/** Most words of a sentence of the corpus, punctuation included. */
export const MAX_WORDS = 21;

const LABELLED_MIX: KindMix = {
  plain: 0.34,
  denial: 0.26,
  contrast: 0.32,
  agreement: 0.08,
};

/**
 * The embedded sentiment corpus: sentences of a seeded grammar with two balanced classes.
 *
 * How it is made, and made hard:
 * - A sentence is one or two clauses with opinion words, of some intensity, perhaps with a neutral
 *   filler. The label is the polarity of the clause that counts: a denial turns its own clause around,
 *   in a contrast the main clause decides, wherever it stands.
 * - Every part (training, validation, test, pretraining) has clause frames of its own, so that no
 *   template is in two; connectives, negators and nouns are shared.
 * - Every third or fourth opinion word is never in a labelled training sentence: only pretraining tells
 *   what it means.
 * - In denials and contrasts, more than half of all, a count of words says nothing or the opposite.
 * - The base knows polarity from pretraining tasks that go by other prompts and other answers; see
 *   `PRETRAINING_TASKS`.
 *
 * Labels alternate, positive first. No sentence comes twice, in or across splits.
 */
export function embeddedCorpus(seed = 0): EmbeddedCorpus {
  const texts = new Set<string>();
  const split = (part: Exclude<CorpusPart, "pretraining">): Sentence[] => {
    const random = new Random(seed, "corpus", part);
    const sentences: Sentence[] = [];
    while (sentences.length < SPLIT_SIZES[part]) {
      const polarity = sentences.length % 2 === 0 ? "positive" : "negative";
      const sentence = makeSentence(random, part, polarity, pickKind(random, LABELLED_MIX));
      if (texts.has(sentence.text) || countWords(sentence.text) > MAX_WORDS) continue;
      texts.add(sentence.text);
      sentences.push(sentence);
    }
    return sentences;
  };
  return { train: split("train"), validation: split("validation"), test: split("test") };
}

/** Words of a text of the corpus; punctuation counts, since it is set apart. */
export function countWords(text: string): number {
  return text.split(" ").length;
}
