import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { tokenizerModule } from "../../experiments/embedded_tokenizer.ts";
import { EMBEDDED_PROMPT } from "../../lib/data/corpus/embedded_vocabulary.ts";
import { embeddedCorpus } from "../../lib/data/corpus/embedded_corpus.ts";
import { PRETRAINING_TASKS } from "../../lib/data/corpus/pretraining_text.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "../../lib/data/embedded/tokenizer.ts";
import { makeTokenizer } from "../../lib/data/tokenizer.ts";
import { trainTokenizer } from "../../lib/data/train_tokenizer.ts";

const embedded = makeTokenizer(TOKENIZER, TOKENIZER_CONFIG, "embedded");
const model = TOKENIZER.model as { vocab: [string, number][] };

Deno.test("trainTokenizer() keeps known words whole and spells out others", () => {
  const { tokenizer, config } = trainTokenizer(["a cat , a cat sat", "the cat"], {
    words: ["Positive"],
    sentinels: 3,
  });
  const made = makeTokenizer(tokenizer, config);
  const pieces = (text: string) => {
    const { vocab } = tokenizer.model as { vocab: [string, number][] };
    return made.encode(text).map((id) => vocab[id]?.[0] ?? id);
  };
  assertEquals(pieces("a cat sat"), ["▁a", "▁cat", "▁sat", "</s>"]);
  assertEquals(pieces("The  CAT,"), ["▁the", "▁cat", ",", "</s>"]);
  assertEquals(pieces("cats positive"), ["▁cat", "s", "▁positive", "</s>"]);
  assertEquals(pieces("dog"), ["▁", "d", "o", "g", "</s>"]);
  assertEquals(pieces("ß"), ["▁", "<unk>", "</s>"]);
  // Most frequent first, ties in alphabetical order.
  const { vocab } = tokenizer.model as { vocab: [string, number][] };
  assertEquals(vocab.slice(0, 9).map(([piece]) => piece), [
    ...["<pad>", "</s>", "<unk>"],
    ...["▁cat", "▁a", "▁,", "▁positive", "▁sat", "▁the"],
  ]);
  assertThrows(() => trainTokenizer([" "]), RangeError, "no words");
});

Deno.test("the embedded tokenizer is what its script makes", async () => {
  const path = new URL("../../lib/data/embedded/tokenizer.ts", import.meta.url);
  assertEquals(await Deno.readTextFile(path), tokenizerModule());
});

Deno.test("the embedded tokenizer has T5's special tokens and few pieces", () => {
  assertEquals(["<pad>", "</s>", "<unk>"].map((token) => embedded.tokenToId(token)), [0, 1, 2]);
  assertEquals([embedded.padId, embedded.eosId], [0, 1]);
  assertEquals(
    Array.from({ length: 20 }, (_, i) => embedded.tokenToId(`<extra_id_${i}>`)),
    Array.from({ length: 20 }, (_, i) => embedded.vocabSize - 1 - i),
  );
  assert(embedded.vocabSize <= 512, `${embedded.vocabSize} pieces`);
  assertEquals(embedded.encode("<extra_id_0> film"), [
    embedded.vocabSize - 1,
    ...embedded.encode("film"),
  ]);
});

Deno.test("the embedded tokenizer has a piece for every word of the corpus and its prompts", () => {
  const { train, validation, test } = embeddedCorpus();
  for (const { text } of [...train, ...validation, ...test]) {
    const ids = embedded.encode(EMBEDDED_PROMPT + text);
    assertEquals(ids.length, text.split(" ").length + 3, text); // prompt, colon, end of sequence
    assertEquals(
      embedded.decode(ids).replaceAll(" ", ""),
      (EMBEDDED_PROMPT + text).replaceAll(" ", ""),
    );
  }
  for (const { prompt, answers } of PRETRAINING_TASKS) {
    assertEquals(embedded.encode(prompt + "film").length, 4);
    for (const answer of Object.values(answers)) {
      assertEquals(embedded.encodeBare(answer).length, 1);
    }
  }
});

Deno.test("the embedded tokenizer takes any text", () => {
  const scores = model.vocab.map(([, score]) => score);
  assert(scores.every(Number.isFinite));
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
    const ids = embedded.encode(text);
    assertEquals(ids.at(-1), 1);
    assert(ids.every((id) => id >= 0 && id < embedded.vocabSize));
  }));
  fc.assert(fc.property(fc.stringMatching(/^[a-z0-9.,!?]{1,20}$/), (word) => {
    const ids = embedded.encodeBare(word);
    assert(!ids.includes(2));
    assertEquals(embedded.decode(ids).replaceAll(" ", ""), word);
  }));
});
