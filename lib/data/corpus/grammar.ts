import type { Random } from "../random.ts";
import { AGREEMENTS, CONTRASTS, FRAMES } from "./frames.ts";
import type { CorpusPart } from "./frames.ts";
import { CONSEQUENCES, NEUTRAL_WORDS, OPINION_WORDS } from "./lexicon.ts";
import type { OpinionKind, Polarity } from "./lexicon.ts";

/** The kinds of sentence; each decides its label by another rule. */
export type SentenceKind =
  | "plain"
  | "denial"
  | "contrast"
  | "agreement";

/** Share of each kind; they add up to 1. */
export type KindMix = Readonly<Record<SentenceKind, number>>;

/** A generated sentence with its label and what it was made from. */
export interface Sentence {
  readonly text: string;
  readonly polarity: Polarity;
  readonly kind: SentenceKind;
  /** The sentence with its slots still empty. */
  readonly template: string;
}

/** Share of denials among the deciding clauses of joined sentences. */
const DENIAL_SHARE = 0.2;
/** Share of sentences of one clause that get a filler. */
const FILLER_SHARE = 0.55;

/** Draws one item of a list. */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)];
}

/** Draws a kind by its share. */
export function pickKind(random: Random, mix: KindMix): SentenceKind {
  const kinds = Object.keys(mix) as SentenceKind[];
  let left = random.uniform();
  return kinds.find((kind) => (left -= mix[kind]) < 0) ?? kinds[0];
}

/** Generates a sentence of a part with the wanted label and kind. */
export function makeSentence(
  random: Random,
  part: CorpusPart,
  polarity: Polarity,
  kind: SentenceKind,
): Sentence {
  const template = makeTemplate(random, part, kind);
  return {
    text: fillSlots(random, template, polarity, part !== "train"),
    polarity,
    kind,
    template,
  };
}

function makeTemplate(random: Random, part: CorpusPart, kind: SentenceKind): string {
  // Two clauses go without degrees, so that they stay short.
  const short = (clause: string): string =>
    kind === "plain" || kind === "denial" ? clause : clause.replace(/\{(degree|strong)\} /, "");
  const affirmed = (): string => short(pick(random, FRAMES[part]).affirm);
  const denied = (): string => short(pick(random, FRAMES[part]).deny);
  const decisive = (): string => random.uniform() < DENIAL_SHARE ? denied() : affirmed();
  switch (kind) {
    case "plain":
      return withFiller(random, affirmed());
    case "denial":
      return withFiller(random, denied());
    case "contrast":
      return pick(random, CONTRASTS)
        .replace("{A}", opposed(affirmed())).replace("{B}", decisive());
    case "agreement":
      return pick(random, AGREEMENTS).replace("{B}", decisive()).replace("{B}", decisive());
  }
}

/** The same clause for the other polarity. */
function opposed(template: string): string {
  return template.replace(/\{([+-])/g, (_, sign) => sign === "+" ? "{-" : "{+");
}

function withFiller(random: Random, template: string): string {
  if (random.uniform() >= FILLER_SHARE) return template;
  return pick(random, [
    `${template} {filler}`,
    `{filler} , ${template}`,
    `{fact} , and ${template}`,
    `${template} , and {fact}`,
  ]);
}

/**
 * Fills the slots of a template; no aspect, person or opinion word comes twice.
 *
 * @param held Whether opinion words that labelled training sentences lack may be used.
 */
export function fillSlots(
  random: Random,
  template: string,
  polarity: Polarity,
  held: boolean,
): string {
  const opposite: Polarity = polarity === "positive" ? "negative" : "positive";
  const used = new Set<string>();
  const fresh = (words: readonly string[]): string => {
    const word = pick(random, words.filter((word) => !used.has(word)));
    used.add(word);
    return word;
  };
  const fill = (sign: string, slot: string): string => {
    if (sign !== "") {
      const words = OPINION_WORDS[slot as OpinionKind][sign === "+" ? polarity : opposite];
      return fresh(held ? [...words.seen, ...words.held] : words.seen);
    }
    if (slot === "degree") return pickDegree(random);
    if (slot === "consequence") return pick(random, CONSEQUENCES[polarity]);
    const words = NEUTRAL_WORDS[slot as keyof typeof NEUTRAL_WORDS];
    return slot === "aspect" || slot === "person" ? fresh(words) : pick(random, words);
  };
  return template.replace(/\{([+-]?)(\w+)\}/g, (_, sign, slot) => fill(sign, slot))
    .replace(/ +/g, " ");
}

/** No degree word for half of the places, a strong one for most of the others. */
function pickDegree(random: Random): string {
  const draw = random.uniform();
  return draw < 0.5 ? "" : pick(random, draw < 0.8 ? NEUTRAL_WORDS.strong : NEUTRAL_WORDS.weak);
}
