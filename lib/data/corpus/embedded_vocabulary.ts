import { Random } from "../random.ts";
import { type TokenizerFiles, trainTokenizer } from "../train_tokenizer.ts";
import { embeddedCorpus } from "./embedded_corpus.ts";
import { NEUTRAL_WORDS, OPINION_WORDS } from "./lexicon.ts";
import { PRETRAINING_TASKS, pretrainingSentence } from "./pretraining_text.ts";

/** What the embedded corpus is asked with; no pretraining task has this prompt. */
export const EMBEDDED_PROMPT = "sentiment: ";

/** Pretraining sentences that the tokenizer counts words in. */
const SAMPLE = 4000;

/**
 * Trains the embedded tokenizer on pretraining text and labelled training sentences; the lexicon,
 * the prompts and their answers are in it whether the sample has them or not.
 */
export function trainEmbeddedTokenizer(seed = 0): TokenizerFiles {
  const random = new Random(seed, "tokenizer");
  const unlabelled = Array.from({ length: SAMPLE }, () => pretrainingSentence(random));
  const opinions = Object.values(OPINION_WORDS).flatMap(Object.values)
    .flatMap(({ seen, held }) => [...seen, ...held]);
  const prompts = [EMBEDDED_PROMPT, ...PRETRAINING_TASKS.map(({ prompt }) => prompt)];
  const answers = PRETRAINING_TASKS.flatMap(({ answers }) => answers);
  return trainTokenizer([...unlabelled, ...embeddedCorpus(seed).train.map(({ text }) => text)], {
    words: [
      ...opinions,
      ...Object.values(NEUTRAL_WORDS).flat().flatMap((words) => words.split(" ")),
      ...prompts.map((prompt) => prompt.replace(": ", "")),
      ...answers,
    ],
  });
}
