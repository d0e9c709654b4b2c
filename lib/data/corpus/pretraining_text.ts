import type { Random } from "../random.ts";
import { countWords, MAX_WORDS } from "./embedded_corpus.ts";
import { fillSlots, type KindMix, makeSentence, pick, pickKind, type Sentence } from "./grammar.ts";
import type { Polarity } from "./lexicon.ts";

/** A text-to-text pair. */
export interface TaskText {
  readonly input: string;
  readonly target: string;
}

/** A pretraining task: its prompt, and its answers to a question about a sentence. */
export interface PretrainingTask {
  readonly prompt: string;
  /** What is asked: the sentence's polarity, or whether it mentions something neutral besides. */
  readonly about: "polarity" | "filler";
  /** Answers for positive or yes, and for negative or no. */
  readonly answers: readonly [string, string];
  /** Share of the pairs; they add up to 1. */
  readonly share: number;
}

/**
 * The pretraining tasks. None has the sweep's prompt, and the sweep's answers are known from another
 * question: so the base knows polarity and knows the words, and what is left to fine-tuning is to
 * bring them together, which takes more than steering by a prompt.
 */
export const PRETRAINING_TASKS: readonly PretrainingTask[] = [
  { prompt: "verdict: ", about: "polarity", answers: ["up", "down"], share: 0.4 },
  { prompt: "recommend: ", about: "polarity", answers: ["yes", "no"], share: 0.4 },
  { prompt: "remark: ", about: "filler", answers: ["positive", "negative"], share: 0.2 },
];

const NONE: KindMix = {
  plain: 0,
  denial: 0,
  contrast: 0,
  agreement: 0,
};

const TEXT_MIX: KindMix = {
  plain: 0.4,
  denial: 0.2,
  contrast: 0.3,
  agreement: 0.1,
};

/**
 * Kinds of the tasks' sentences from a share of the steps on. Affirmed sentences come first: as long
 * as denials blur what each word stands for, hardly anything is learnt.
 */
export const TASK_STAGES: readonly { readonly from: number; readonly mix: KindMix }[] = [
  { from: 0, mix: { ...NONE, plain: 1 } },
  { from: 0.06, mix: { ...NONE, plain: 0.6, denial: 0.4 } },
  { from: 0.18, mix: { ...NONE, plain: 0.15, denial: 0.3, contrast: 0.45, agreement: 0.1 } },
];

/** An unlabelled sentence of the pretraining frames: opinions and what people did next, or facts. */
export function pretrainingSentence(random: Random): string {
  const polarity = pickPolarity(random);
  if (random.uniform() < 0.12) return fillSlots(random, "{fact} , and {fact}", polarity, true);
  const kind = pickKind(random, TEXT_MIX);
  const { text } = short(() => makeSentence(random, "pretraining", polarity, kind));
  const actor = pick(random, ["we", "i", "they", "everyone", "my {person}"]);
  return `${text} so ${fillSlots(random, `${actor} {consequence}`, polarity, true)}`;
}

/** A task about a sentence of the pretraining frames, of the kinds that a stage has. */
export function pretrainingTask(random: Random, mix: KindMix): TaskText {
  const { prompt, about, answers } = pickTask(random);
  const polarity = pickPolarity(random);
  const kind = about === "filler" ? "plain" : pickKind(random, mix);
  const { text, template } = short(() => makeSentence(random, "pretraining", polarity, kind));
  const yes = about === "filler" ? /\{(filler|fact)\}/.test(template) : polarity === "positive";
  return { input: prompt + text, target: answers[yes ? 0 : 1] };
}

function pickTask(random: Random): PretrainingTask {
  let left = random.uniform();
  return PRETRAINING_TASKS.find(({ share }) => (left -= share) < 0) ?? PRETRAINING_TASKS[0];
}

function pickPolarity(random: Random): Polarity {
  return random.below(2) === 0 ? "positive" : "negative";
}

/** The first draw that is short enough. */
function short(draw: () => Sentence): Sentence {
  for (;;) {
    const drawn = draw();
    if (countWords(drawn.text) <= MAX_WORDS) return drawn;
  }
}
