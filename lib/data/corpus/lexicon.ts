/** A class of the embedded corpus; also the label word that the base learns to write. */
export type Polarity = "positive" | "negative";

/** Words of one kind and polarity, by whether labelled training sentences may have them. */
export interface OpinionWords {
  readonly seen: readonly string[];
  /** Never in a labelled training sentence; in pretraining, validation and test. */
  readonly held: readonly string[];
}

const words = (text: string): readonly string[] => text.split(" ");

/** The three kinds of opinion word: adjectives, past-tense verbs and nouns. */
export type OpinionKind = "adjective" | "verb" | "noun";

/** Every opinion word of the corpus; all begin with a consonant, so that "a" always fits. */
export const OPINION_WORDS: Readonly<
  Record<OpinionKind, Readonly<Record<Polarity, OpinionWords>>>
> = {
  adjective: {
    positive: {
      seen: words(
        "good great lovely superb charming brilliant splendid clever",
      ),
      held: words("terrific marvelous graceful fabulous"),
    },
    negative: {
      seen: words(
        "bad poor terrible horrible dull boring nasty silly",
      ),
      held: words("lousy pathetic hideous rotten"),
    },
  },
  verb: {
    positive: { seen: words("loved liked praised"), held: words("cherished") },
    negative: { seen: words("hated disliked mocked"), held: words("loathed") },
  },
  noun: {
    positive: { seen: words("joy treat delight"), held: words("gem") },
    negative: { seen: words("mess bore failure"), held: words("fiasco") },
  },
};

/** Words without an opinion that fill a slot; every split draws from the same lists. */
export const NEUTRAL_WORDS = {
  aspect: words(
    "film story plot music song cast script food soup service waiter meal dessert room bed view hotel " +
      "garden beach book play scene trip show",
  ),
  person: words("sister brother mother father friend neighbor"),
  strong: words("very really truly totally"),
  weak: words("slightly somewhat mildly"),
  /** Negators that stand after a form of "be". */
  negator: ["not", "not", "never", "hardly", "barely", "by no means"],
  /** Negators that stand before a verb. */
  adverb: words("never hardly barely"),
  /** Adverbial fillers. */
  filler: [
    "on monday",
    "on friday",
    "last night",
    "last week",
    "this morning",
    "after work",
    "before lunch",
    "at home",
    "by the river",
    "near the station",
    "in the old town",
    "with our friends",
  ],
  /** Whole neutral clauses. */
  fact: [
    "we went there by bus",
    "it rained all day",
    "the shop opened at nine",
    "the door was red",
    "we found a seat near the window",
    "this took two hours",
    "my friend read it at home",
    "they looked for the station",
    "our train was the last one",
    "everyone had lunch at noon",
    "nobody was in the garden",
    "i felt the wind from the river",
    "we had tea with them",
    "they call it the old town",
    "the bus is blue",
  ],
} as const;

/** What people do after a good or a bad experience; only unlabelled pretraining text has these. */
export const CONSEQUENCES: Readonly<Record<Polarity, readonly string[]>> = {
  positive: [
    "stayed much longer",
    "gladly went again",
    "smiled all evening",
    "left a big tip",
    "thanked them twice",
    "told all friends to go",
    "clapped and cheered",
    "bought another ticket",
  ],
  negative: [
    "left too early",
    "asked for money back",
    "frowned all evening",
    "wrote an angry letter",
    "complained to the manager",
    "warned all friends to stay away",
    "sighed and yawned",
    "wanted no other ticket",
  ],
};
