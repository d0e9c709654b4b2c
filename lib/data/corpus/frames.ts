/** A part of the corpus; each owns its clause frames. */
export type CorpusPart = "pretraining" | "train" | "validation" | "test";

/**
 * One way to say that something is good or bad, and its negated form.
 *
 * `{+…}` takes an opinion word of the polarity that the clause ends up with, `{-…}` one of the
 * opposite polarity: a denial states its polarity by denying the other. The negation's scope is its
 * own clause.
 */
export interface Frame {
  readonly affirm: string;
  readonly deny: string;
}

/**
 * The clause frames by part.
 *
 * A frame stands in one part alone, and every sentence with an opinion is made of frames of its
 * part, so that no template can be in two. The function words of validation and test frames occur in
 * the neutral facts of the lexicon or in other frames.
 */
export const FRAMES: Readonly<Record<CorpusPart, readonly Frame[]>> = {
  pretraining: [
    {
      affirm: "the {aspect} seemed {degree} {+adjective}",
      deny: "the {aspect} {adverb} seemed {-adjective}",
    },
    {
      affirm: "there was a {degree} {+adjective} {aspect}",
      deny: "there was {negator} a {-adjective} {aspect}",
    },
    { affirm: "people {+verb} that {aspect}", deny: "people {adverb} {-verb} that {aspect}" },
    { affirm: "that {aspect} was a {+noun}", deny: "that {aspect} was {negator} a {-noun}" },
    {
      affirm: "her {aspect} was so {+adjective}",
      deny: "her {aspect} was {negator} so {-adjective}",
    },
    {
      affirm: "his {aspect} was {degree} {+adjective}",
      deny: "his {aspect} was {negator} {strong} {-adjective}",
    },
    {
      affirm: "she thought the {aspect} {degree} {+adjective}",
      deny: "she {adverb} thought the {aspect} {-adjective}",
    },
    { affirm: "what a {degree} {+adjective} {aspect}", deny: "no {-adjective} {aspect}" },
    { affirm: "you {+verb} your {aspect}", deny: "you {adverb} {-verb} your {aspect}" },
    {
      affirm: "he got a {degree} {+adjective} {aspect}",
      deny: "he {adverb} got a {-adjective} {aspect}",
    },
    {
      affirm: "the {aspect} remains a {+noun}",
      deny: "the {aspect} {adverb} remains a {-noun}",
    },
    {
      affirm: "each {aspect} is {degree} {+adjective}",
      deny: "each {aspect} is {negator} {strong} {-adjective}",
    },
  ],
  train: [
    {
      affirm: "the {aspect} was {degree} {+adjective}",
      deny: "the {aspect} was {negator} {strong} {-adjective}",
    },
    { affirm: "i {+verb} the {aspect}", deny: "i {adverb} {-verb} the {aspect}" },
    {
      affirm: "it was a {degree} {+adjective} {aspect}",
      deny: "it was {negator} a {-adjective} {aspect}",
    },
    { affirm: "the {aspect} was a {+noun}", deny: "the {aspect} was {negator} a {-noun}" },
    { affirm: "everyone {+verb} the {aspect}", deny: "nobody {-verb} the {aspect}" },
  ],
  validation: [
    {
      affirm: "we found the {aspect} {degree} {+adjective}",
      deny: "we {adverb} found the {aspect} {-adjective}",
    },
    {
      affirm: "this is a {degree} {+adjective} {aspect}",
      deny: "this is {negator} a {-adjective} {aspect}",
    },
    {
      affirm: "my {person} {+verb} the {aspect}",
      deny: "my {person} {adverb} {-verb} the {aspect}",
    },
    { affirm: "this {aspect} was a {+noun}", deny: "this {aspect} was {negator} a {-noun}" },
    {
      affirm: "our {aspect} was {degree} {+adjective}",
      deny: "our {aspect} was {negator} {strong} {-adjective}",
    },
  ],
  test: [
    {
      affirm: "the {aspect} felt {degree} {+adjective}",
      deny: "the {aspect} {adverb} felt {-adjective}",
    },
    {
      affirm: "we had a {degree} {+adjective} {aspect}",
      deny: "we {adverb} had a {-adjective} {aspect}",
    },
    { affirm: "they {+verb} this {aspect}", deny: "they {adverb} {-verb} this {aspect}" },
    { affirm: "i call the {aspect} a {+noun}", deny: "i {adverb} call the {aspect} a {-noun}" },
    {
      affirm: "my {aspect} was {degree} {+adjective}",
      deny: "my {aspect} was {negator} {strong} {-adjective}",
    },
  ],
};

/**
 * How two clauses make a contrast: `{A}` has the polarity that loses, `{B}` the one that counts.
 * The final or the main clause decides, wherever it stands.
 */
export const CONTRASTS: readonly string[] = [
  "{A} , but {B}",
  "although {A} , {B}",
  "{B} , although {A}",
  "despite the {-adjective} {aspect} , {B}",
];

/** Two clauses of the same polarity. */
export const AGREEMENTS: readonly string[] = ["{B} , and {B}", "{B} because {B}"];
