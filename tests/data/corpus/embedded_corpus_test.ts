import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  countWords,
  embeddedCorpus,
  MAX_WORDS,
  SPLIT_SIZES,
} from "../../../lib/data/corpus/embedded_corpus.ts";
import type { Sentence } from "../../../lib/data/corpus/grammar.ts";
import { FRAMES } from "../../../lib/data/corpus/frames.ts";
import { CONSEQUENCES, NEUTRAL_WORDS, OPINION_WORDS } from "../../../lib/data/corpus/lexicon.ts";
import {
  PRETRAINING_TASKS,
  pretrainingSentence,
  pretrainingTask,
  TASK_STAGES,
} from "../../../lib/data/corpus/pretraining_text.ts";
import { pretrainingBatches } from "../../../lib/data/corpus/pretraining_batches.ts";
import { EMBEDDED_PROMPT, embeddedDataset } from "../../../lib/data/embedded/dataset.ts";
import { EMBEDDED_RECIPE } from "../../../lib/data/embedded/recipe.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "../../../lib/data/embedded/tokenizer.ts";
import { Random } from "../../../lib/data/random.ts";
import { makeTokenizer } from "../../../lib/data/tokenizer.ts";
import { trainBagOfWords } from "./bag_of_words.ts";

const corpus = embeddedCorpus();
const splits: [string, readonly Sentence[]][] = Object.entries(corpus);
const wordsOf = (text: string) => text.split(" ");
const opinions = Object.values(OPINION_WORDS).flatMap(Object.values);
const held = new Set(opinions.flatMap(({ held }) => held));
const seen = new Set(opinions.flatMap(({ seen }) => seen));

const polarityOf = (word: string) =>
  Object.values(OPINION_WORDS).some(({ positive }) =>
      [...positive.seen, ...positive.held].includes(word)
    )
    ? "positive"
    : "negative";
const opinionsIn = (text: string) =>
  wordsOf(text).filter((word) => held.has(word) || seen.has(word)).map(polarityOf);

/** Every filler, fact and word of a list becomes its slot: what is left is the template. */
const skeleton = (() => {
  const slots: [string, string][] = [
    ...Object.entries(NEUTRAL_WORDS).flatMap(([slot, words]) =>
      words.map((word): [string, string] => [word, slot])
    ),
    ...Object.entries(OPINION_WORDS).flatMap(([kind, byPolarity]) =>
      Object.values(byPolarity).flatMap(({ seen, held }) =>
        [...seen, ...held].map((word): [string, string] => [word, kind])
      )
    ),
    ...Object.values(CONSEQUENCES).flat().map((words): [string, string] => [words, "consequence"]),
  ].sort(([a], [b]) => b.length - a.length) as [string, string][];
  return (text: string): string => {
    let line = ` ${text} `;
    for (const [words, slot] of slots) line = line.replaceAll(` ${words} `, ` {${slot}} `);
    return line.replaceAll("{adverb}", "{negator}").replaceAll(/\{(strong|weak)\} /g, "").trim();
  };
})();

Deno.test("embeddedCorpus() is a function of its seed", () => {
  assertEquals(embeddedCorpus(0), corpus);
  assertNotEquals(embeddedCorpus(1).train, corpus.train);
});

Deno.test("embeddedCorpus() is balanced, of the stated sizes and short", () => {
  for (const [name, sentences] of splits) {
    assertEquals(sentences.length, SPLIT_SIZES[name as keyof typeof SPLIT_SIZES]);
    const positive = sentences.filter(({ polarity }) => polarity === "positive").length;
    assertEquals(positive, sentences.length / 2);
    assert(sentences.every(({ text }) => countWords(text) <= MAX_WORDS && text.trim() === text));
  }
  const texts = splits.flatMap(([, sentences]) => sentences.map(({ text }) => text));
  assertEquals(new Set(texts).size, texts.length);
});

Deno.test("no template is in two parts, by construction and in the sentences", () => {
  const frames = Object.values(FRAMES).map((list) =>
    list.flatMap(({ affirm, deny }) => [affirm, deny])
  );
  assertEquals(new Set(frames.flat()).size, frames.flat().length);

  const random = new Random(0, "test");
  const pretraining = [
    ...Array.from({ length: 3000 }, () => pretrainingSentence(random).replace(/ so .*/, "")),
    ...TASK_STAGES.flatMap(({ mix }) =>
      Array.from({ length: 1000 }, () => pretrainingTask(random, mix).input.replace(/^\w+: /, ""))
    ),
  ];
  const parts = [...splits.map(([, list]) => list.map(({ text }) => text)), pretraining]
    .map((texts) => new Set(texts.map(skeleton)));
  parts.forEach((part, i) => {
    assert(part.size > 40);
    for (const other of parts.slice(i + 1)) assertEquals([...part.intersection(other)], []);
  });
});

Deno.test("words: held ones are never in training, all others of validation and test are known", () => {
  const words = (list: readonly { text: string }[]) =>
    new Set(list.flatMap(({ text }) => wordsOf(text)));
  const train = words(corpus.train);
  assertEquals([...train.intersection(held)], []);
  assert(train.isSupersetOf(seen));
  const random = new Random(0, "words");
  const pretraining = words(
    Array.from({ length: 4000 }, () => ({ text: pretrainingSentence(random) })),
  );
  for (const split of [corpus.validation, corpus.test]) {
    assert(words(split).isSupersetOf(held));
    assertEquals([...words(split).difference(pretraining)], []);
  }
  assertEquals([...held.intersection(seen)], []);
});

Deno.test("labels follow from the templates: worked examples of each rule", () => {
  const find = (template: RegExp) => {
    const found = splits.flatMap(([, list]) => list).filter((one) => template.test(one.template));
    assert(found.length > 0, `${template} matches no sentence`);
    return found;
  };
  // Affirmed: the word itself; denied: the other one.
  for (const { text, polarity } of find(/^the \{aspect\} was \{degree\} \{\+adjective\}$/)) {
    assertEquals(opinionsIn(text), [polarity]);
  }
  for (const { text, polarity } of find(/^nobody \{-verb\} the \{aspect\}$/)) {
    assertNotEquals(opinionsIn(text), [polarity]);
  }
  // Contrast: what follows "but", what follows the comma after "although", what stands before it.
  const affirmed = (clause: string) => !/not|never|hardly|barely|by no means|nobody/.test(clause);
  for (const { text, polarity } of find(/ , but /)) {
    const [, last] = text.split(" , but ");
    assertEquals(opinionsIn(last)[0] === polarity, affirmed(last), text);
  }
  for (const { text, polarity } of find(/^although /)) {
    const last = text.slice(text.indexOf(" , "));
    assertEquals(opinionsIn(last)[0] === polarity, affirmed(last), text);
  }
  for (const { text, polarity } of find(/ , although /)) {
    const [first] = text.split(" , although ");
    assertEquals(opinionsIn(first)[0] === polarity, affirmed(first), text);
  }
});

Deno.test("pretraining: tasks have other prompts, and the label words answer another question", () => {
  const prompts = PRETRAINING_TASKS.map(({ prompt }) => prompt);
  assert(!prompts.includes(EMBEDDED_PROMPT));
  assertEquals(PRETRAINING_TASKS.reduce((sum, { share }) => sum + share, 0), 1);
  const random = new Random(1, "tasks");
  const tasks = TASK_STAGES.flatMap(({ mix }) =>
    Array.from({ length: 1000 }, () => pretrainingTask(random, mix))
  );
  const counts = new Map<string, number>();
  const remarks = [...NEUTRAL_WORDS.filler, ...NEUTRAL_WORDS.fact];
  for (const { input, target } of tasks) {
    counts.set(target, (counts.get(target) ?? 0) + 1);
    if (target !== "positive" && target !== "negative") continue;
    assertEquals(remarks.some((words) => input.includes(words)), target === "positive", input);
  }
  assertEquals(
    new Set(counts.keys()),
    new Set(PRETRAINING_TASKS.flatMap(({ answers }) => answers)),
  );
  for (const { about, answers, share } of PRETRAINING_TASKS) {
    answers.forEach((answer, i) => {
      // Binomial, five standard deviations allowed; 55 % of plain sentences have a remark.
      const part = about === "polarity" ? 0.5 : [0.55, 0.45][i];
      const expected = tasks.length * share * part;
      assert(Math.abs(counts.get(answer)! - expected) < 5 * Math.sqrt(expected), answer);
    });
  }
});

Deno.test("pretraining: what people did next follows the sentence, and stands in its text alone", () => {
  const random = new Random(2, "text");
  const sentences = Array.from({ length: 1500 }, () => pretrainingSentence(random));
  // With the end of sequence.
  assert(sentences.every((text) => countWords(text) < EMBEDDED_RECIPE.inputLength));
  const told = (text: string) =>
    Object.entries(CONSEQUENCES).find(([, list]) => list.some((words) => text.endsWith(words)))
      ?.[0];
  assert(sentences.filter(told).length > 1200);
  assert(splits.every(([, list]) => !list.some(({ text }) => told(text))));
  for (const text of sentences) {
    const clause = /^(her|his) \w+ was (so |not )?(\w+) so /.exec(text);
    if (clause === null || !opinions.some(({ seen }) => seen.includes(clause[3]))) continue;
    assertEquals(polarityOf(clause[3]) === told(text), clause[2] !== "not ", text);
  }
});

Deno.test("pretrainingBatches() is a function of plan and step, and fits the recipe's lengths", () => {
  const tokenizer = makeTokenizer(TOKENIZER, TOKENIZER_CONFIG, "embedded");
  const plan = { seed: 0, steps: 100, batchSize: 10 };
  const batches = pretrainingBatches(tokenizer, plan);
  assertEquals(pretrainingBatches(tokenizer, plan)(37), batches(37));
  assertNotEquals(batches(38), batches(37));
  assertNotEquals(pretrainingBatches(tokenizer, { ...plan, seed: 1 })(37), batches(37));
  const isTask = ({ target }: { target: number[] }) =>
    target[0] < tokenizer.tokenToId("<extra_id_19>")!;
  for (let step = 0; step < plan.steps; step++) {
    const batch = batches(step);
    assertEquals(batch.map(isTask), batch.map((_, row) => row < 6));
    for (const { input, target } of batch) {
      assert(input.length <= EMBEDDED_RECIPE.inputLength && input.at(-1) === 1);
      assert(target.length <= EMBEDDED_RECIPE.targetLength && target.at(-1) === 1);
    }
  }
});

Deno.test("a bag of words learns next to nothing from the corpus", () => {
  for (const seed of [0, 1, 2]) {
    const { train, validation } = embeddedDataset(seed);
    // The best of several penalties, chosen on validation itself: in the classifier's favour.
    const accuracies = [1e-3, 1e-2, 1e-1].map((penalty) => {
      const classify = trainBagOfWords(train, penalty);
      return validation.filter(({ text, label }) => classify(text) === label).length /
        validation.length;
    });
    const best = Math.max(...accuracies);
    assert(best < 0.7, `seed ${seed}: ${accuracies}`);
  }
});

Deno.test("the bag of words itself is sound: it separates what counts of words separate", () => {
  const texts = corpus.train.filter(({ kind }) => kind === "plain");
  const labelled = texts.map(({ text, polarity }) => ({
    text,
    label: Number(polarity === "positive"),
  }));
  const classify = trainBagOfWords(labelled.slice(0, 400), 1e-3);
  const rest = labelled.slice(400);
  const right = rest.filter(({ text, label }) => classify(text) === label).length;
  assert(right > 0.99 * rest.length, `${right} of ${rest.length}`);
});

Deno.test("embeddedDataset() is the corpus with classes and ids", () => {
  const data = embeddedDataset();
  assertEquals(data.labels, ["negative", "positive"]);
  assertEquals(data.train.map(({ text }) => text), corpus.train.map(({ text }) => text));
  assertEquals(data.train.slice(0, 2).map(({ label, id }) => [label, id]), [[1, 0], [0, 1]]);
  assertEquals(data.duplicates.across, { trainValidation: 0, trainTest: 0, validationTest: 0 });
  assertEquals(data.digest, embeddedDataset().digest);
});
