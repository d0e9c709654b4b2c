import type { Random } from "../random.ts";
import { countWords, MAX_WORDS } from "./embedded_corpus.ts";
import { fillSlots, type KindMix, makeSentence, pick, pickKind } from "./grammar.ts";
import { OPPOSITE, type Polarity } from "./lexicon.ts";

/** A text-to-text pair. */
export interface TaskText {
  readonly input: string;
  readonly target: string;
}

/** A pretraining task. */
export interface PretrainingTask {
  readonly prompt: string;
  /** The answer for either polarity. */
  readonly answers: Readonly<Record<Polarity, string>>;
  /** Share of the pairs; they add up to 1. */
  readonly share: number;
  /** What is asked for: what the sentence says in the end, or the tone of its opinion word. */
  readonly about: "sentence" | "word";
}

/**
 * The pretraining tasks. None has the sweep's prompt. The base meets the sweep's label words as names
 * for the tone of words, negation or not; what a sentence says in the end it tells in other words.
 */
export const PRETRAINING_TASKS: readonly PretrainingTask[] = [
  {
    prompt: "tone: ",
    answers: { positive: "positive", negative: "negative" },
    share: 0.2,
    about: "word",
  },
  {
    prompt: "verdict: ",
    answers: { positive: "up", negative: "down" },
    share: 0.4,
    about: "sentence",
  },
  {
    prompt: "recommend: ",
    answers: { positive: "yes", negative: "no" },
    share: 0.4,
    about: "sentence",
  },
];

/** Share of denials among the sentences whose word's tone is asked for. */
const DENIED_TONES = 0.2;

const NONE: KindMix = {
  plain: 0,
  denial: 0,
  contrast: 0,
  concession: 0,
  rare_contrast: 0,
  agreement: 0,
  balance: 0,
};

const TEXT_MIX: KindMix = {
  plain: 0.35,
  denial: 0.15,
  contrast: 0.12,
  concession: 0.08,
  rare_contrast: 0.2,
  agreement: 0.05,
  balance: 0.05,
};

/**
 * Kinds of the tasks' sentences from a share of the steps on, easy ones first: as long as denials blur
 * what each word stands for, hardly anything is learnt, and "the last clause decides" comes before
 * its exceptions.
 */
export const TASK_STAGES: readonly { readonly from: number; readonly mix: KindMix }[] = [
  { from: 0, mix: { ...NONE, plain: 1 } },
  { from: 0.05, mix: { ...NONE, plain: 0.6, denial: 0.4 } },
  { from: 0.13, mix: { ...NONE, plain: 0.2, denial: 0.15, contrast: 0.6, agreement: 0.05 } },
  {
    from: 0.35,
    mix: { ...NONE, plain: 0.15, denial: 0.1, contrast: 0.3, concession: 0.35, agreement: 0.1 },
  },
];

/** An unlabelled sentence of the pretraining frames: opinions and what people did next, or facts. */
export function pretrainingSentence(random: Random): string {
  return short(() => {
    const polarity = pickPolarity(random);
    if (random.uniform() < 0.12) return fillSlots(random, "{fact} , and {fact}", polarity, true);
    const { text } = makeSentence(random, "pretraining", polarity, pickKind(random, TEXT_MIX));
    const actor = pick(random, ["we", "i", "they", "everyone", "my {person}"]);
    return `${text} so ${fillSlots(random, `${actor} {consequence}`, polarity, true)}`;
  });
}

/** A task about a sentence of the pretraining frames; the kinds are those of the stage's mix. */
export function pretrainingTask(random: Random, mix: KindMix): TaskText {
  const { prompt, answers, about } = pickTask(random);
  const polarity = pickPolarity(random);
  const denied = about === "word" && random.uniform() < DENIED_TONES;
  const text = short(() => {
    const kind = about === "sentence" ? pickKind(random, mix) : denied ? "denial" : "plain";
    return makeSentence(random, "pretraining", polarity, kind).text;
  });
  return { input: prompt + text, target: answers[denied ? OPPOSITE[polarity] : polarity] };
}

function pickTask(random: Random): PretrainingTask {
  let left = random.uniform();
  return PRETRAINING_TASKS.find(({ share }) => (left -= share) < 0) ?? PRETRAINING_TASKS[0];
}

function pickPolarity(random: Random): Polarity {
  return random.below(2) === 0 ? "positive" : "negative";
}

/** The first draw that is short enough. */
function short(draw: () => string): string {
  for (;;) {
    const text = draw();
    if (countWords(text) <= MAX_WORDS) return text;
  }
}
