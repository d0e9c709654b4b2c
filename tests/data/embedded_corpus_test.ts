import { assert, assertEquals } from "@std/assert";
import { tokenizerModule } from "../../experiments/embedded_tokenizer.ts";
import {
  type EmbeddedCorpus,
  embeddedCorpus,
  MAX_WORDS,
  SPLIT_SIZES,
} from "../../lib/data/corpus/embedded_corpus.ts";
import { EMBEDDED_PROMPT } from "../../lib/data/corpus/embedded_vocabulary.ts";
import { FRAMES } from "../../lib/data/corpus/frames.ts";
import { PRETRAINING_TASKS, pretrainingSentence } from "../../lib/data/corpus/pretraining_text.ts";
import { pretrainingBatches } from "../../lib/data/corpus/pretraining_batches.ts";
import { embeddedTokenizer } from "../../lib/data/embedded/base.ts";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { EMBEDDED_RECIPE } from "../../lib/data/embedded/recipe.ts";
import { Random } from "../../lib/data/random.ts";
import { bagOfWordsAccuracy } from "./bag_of_words.ts";

const splits = ({ train, validation, test }: EmbeddedCorpus) => [train, validation, test];

Deno.test("embeddedCorpus() is a function of its seed, balanced, and without repetition", () => {
  const corpus = embeddedCorpus();
  assertEquals(corpus, embeddedCorpus(0));
  assert(corpus.train[0].text !== embeddedCorpus(1).train[0].text);
  const texts = splits(corpus).flatMap((split) => split.map(({ text }) => text));
  assertEquals(new Set(texts).size, texts.length);
  for (const [name, size] of Object.entries(SPLIT_SIZES)) {
    const split = corpus[name as keyof typeof SPLIT_SIZES];
    assertEquals(split.length, size);
    assertEquals(split.filter(({ polarity }) => polarity === "positive").length, size / 2);
    assert(split.every(({ text }) => text.split(" ").length <= MAX_WORDS));
  }
});

Deno.test("no template is in two splits, nor in the pretraining text", () => {
  const frames = Object.values(FRAMES).flatMap((list) =>
    list.flatMap(({ affirm, deny }) => [affirm, deny])
  );
  assertEquals(new Set(frames).size, frames.length);
  const corpus = embeddedCorpus();
  const templates = splits(corpus).map((split) => new Set(split.map(({ template }) => template)));
  templates.forEach((one, i) =>
    templates.slice(i + 1).forEach((other) => assert(one.isDisjointFrom(other)))
  );
});

Deno.test("no pretraining task has the sweep's prompt", () => {
  assert(PRETRAINING_TASKS.every(({ prompt }) => prompt !== EMBEDDED_PROMPT));
});

Deno.test("the embedded data set holds words that labelled training sentences lack", () => {
  const { train, validation } = embeddedDataset();
  const words = new Set(train.flatMap(({ text }) => text.split(" ")));
  const fresh = validation.filter(({ text }) => text.split(" ").some((word) => !words.has(word)));
  assert(fresh.length > validation.length / 10, `only ${fresh.length} sentences have new words`);
});

Deno.test("the embedded tokenizer's module is what its experiment writes", async () => {
  const path = new URL("../../lib/data/embedded/tokenizer.ts", import.meta.url);
  assertEquals(await Deno.readTextFile(path), tokenizerModule());
});

Deno.test("the embedded tokenizer knows every word of corpus and pretraining text", () => {
  const tokenizer = embeddedTokenizer();
  const unknown = tokenizer.tokenToId("<unk>")!;
  const random = new Random(3, "test");
  const texts = [
    ...splits(embeddedCorpus()).flatMap((split) => split.map(({ text }) => text)),
    ...Array.from({ length: 500 }, () => pretrainingSentence(random)),
  ].map((text) => EMBEDDED_PROMPT + text);
  for (const text of texts) {
    const ids = tokenizer.encode(text);
    assert(!ids.includes(unknown), text);
    assertEquals(ids.at(-1), tokenizer.eosId);
  }
  for (const word of ["positive", "negative"]) assertEquals(tokenizer.encodeBare(word).length, 1);
});

Deno.test("pretrainingBatches() is a function of seed and step, and fits the recipe's lengths", () => {
  const tokenizer = embeddedTokenizer();
  const [a, b] = [0, 1].map(() => pretrainingBatches(tokenizer, EMBEDDED_RECIPE));
  for (const step of [0, 1, 400, EMBEDDED_RECIPE.steps - 1]) {
    const pairs = a(step);
    assertEquals(pairs, b(step));
    assertEquals(pairs.length, EMBEDDED_RECIPE.batchSize);
    assert(pairs.every(({ input }) => input.length <= EMBEDDED_RECIPE.inputLength));
    assert(pairs.every(({ target }) => target.length <= EMBEDDED_RECIPE.targetLength));
  }
});

Deno.test("a bag of words learns little of the embedded corpus: 75 % at most", () => {
  const { train, validation } = embeddedDataset();
  const { training, held } = bagOfWordsAccuracy(train, validation);
  console.log(
    `bag of words: ${(100 * held).toFixed(1)} % of validation, ${
      (100 * training).toFixed(1)
    } % of training`,
  );
  assert(held <= 0.75 && training > 0.58, `bag of words reaches ${held}, ${training} in training`);
});
