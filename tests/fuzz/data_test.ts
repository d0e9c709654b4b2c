/** Damaged data: TSV, CSV, streams of texts, Parquet, a data set's card, tokenizers. */

import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { cardClasses } from "../../lib/data/card_classes.ts";
import { loadDataset } from "../../lib/data/dataset.ts";
import { type DelimitedFormat, parseDelimited, readDelimited } from "../../lib/data/delimited.ts";
import { TOKENIZER_CONFIG } from "../../lib/data/embedded/tokenizer.ts";
import { readParquet } from "../../lib/data/parquet.ts";
import { readTexts } from "../../lib/data/text_stream.ts";
import { loadTokenizer } from "../../lib/data/tokenizer.ts";
import { trainTokenizer } from "../../lib/data/train_tokenizer.ts";
import { type Bytes, folderFor, fuzz, must } from "./check_reader.ts";
import { mutateBytes, mutateJson } from "./mutations.ts";

const bytes = (text: string): Bytes => new TextEncoder().encode(text);
const dir = folderFor("data");

const tsv = "sentence\tlabel\ta\n" +
  Array.from({ length: 24 }, (_, i) => `a fïlm "so-so" ${i} 🎬\t${i % 2}\tx\r\n`).join("");
const csv = "sentence,label,a\n" + Array.from(
  { length: 12 },
  (_, i) => `"a ""fïlm"", ${i}\nof lines",${i % 2},x\r\n`,
).join("");
const kinds: readonly { format: DelimitedFormat; text: string }[] = [
  { format: "tsv", text: tsv },
  { format: "csv", text: csv },
  { format: "quoted-tsv", text: csv.replaceAll(",", "\t") },
];
for (const { format, text } of kinds) {
  fuzz({
    name: `${format} rows`,
    seeds: [bytes(text), bytes("\ufeff" + text)],
    mutate: mutateBytes,
    read: (input) => {
      const { rows, columns, lines } = parseDelimited(input, format, "x");
      must(rows.every((row) => row.length === columns.length), "a row of another width");
      must(lines.every((line, i) => line > (lines[i - 1] ?? 1)), "lines out of order");
    },
  });
  fuzz({
    name: `stream of ${format} texts`,
    seeds: [bytes(text)],
    mutate: mutateBytes,
    read: async (input) => {
      async function* pieces() {
        for (let at = 0; at < input.length; at += 50) yield input.subarray(at, at + 50);
      }
      let texts = 0;
      for await (const one of readTexts(pieces(), { file: "x", column: "sentence", format })) {
        must(one !== "", "an empty text");
        texts++;
      }
      must(texts <= input.length, "more texts than bytes");
    },
  });
}

fuzz({
  name: "data set of a TSV file",
  seeds: [bytes(tsv)],
  mutate: mutateBytes,
  read: async (input) => {
    Deno.writeFileSync(`${dir}/train.tsv`, input);
    const { train, validation, labels } = await loadDataset({
      files: { train: `${dir}/train.tsv` },
    });
    for (const { label, text } of [...train, ...validation]) {
      must(text !== "" && labels[label] !== undefined, "an example without text or class");
    }
  },
});

fuzz({
  name: "gzip of a TSV file",
  seeds: [new Uint8Array(gzipSync(tsv))],
  mutate: mutateBytes,
  // Deflate stores at most 1,032 bytes in one.
  factor: 1032,
  read: async (input) => {
    Deno.writeFileSync(`${dir}/train.tsv.gz`, input);
    const { rows } = await readDelimited(`${dir}/train.tsv.gz`);
    must(rows.length > 0, "no rows");
  },
});

const card = `---
license: mit
dataset_info:
- config_name: sst2
  features:
  - name: sentence
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive
- config_name: other
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': a
          '1': b
---
# Data
`;
fuzz({
  name: "card of a data set",
  seeds: [bytes(card)],
  mutate: mutateBytes,
  read: (input) => {
    const names = cardClasses(new TextDecoder().decode(input), "label", "sst2");
    must(names === null || names.length > 0 && names.length < input.length, "wrong classes");
  },
});

const rows = Array.from({ length: 40 }, (_, i) => ({ text: `film ${i % 7} é`, label: i % 2 }));
const parquet = (codec: "SNAPPY" | "UNCOMPRESSED", whole: boolean): Bytes =>
  new Uint8Array(parquetWriteBuffer({
    codec,
    columnData: [
      { name: "sentence", data: rows.map(({ text }, i) => i === 3 ? null : text), type: "STRING" },
      { name: "label", data: rows.map(({ label }) => BigInt(label)), type: "INT64" },
      ...whole
        ? [
          { name: "score", data: rows.map((_, i) => i / 3), type: "DOUBLE" as const },
          { name: "odd", data: rows.map((_, i) => i % 2 === 1), type: "BOOLEAN" as const },
        ]
        : [],
    ],
    kvMetadata: [{
      key: "huggingface",
      value: JSON.stringify({
        info: { features: { label: { names: ["no", "yes"], _type: "ClassLabel" } } },
      }),
    }],
  }));
fuzz({
  name: "Parquet file",
  seeds: [parquet("SNAPPY", true), parquet("UNCOMPRESSED", true), parquet("UNCOMPRESSED", false)],
  mutate: mutateBytes,
  read: async (input) => {
    Deno.writeFileSync(`${dir}/train.parquet`, input);
    const { rows, columns } = await readParquet(`${dir}/train.parquet`);
    for (const row of rows) {
      must(row.length === columns.length, "a row of another width");
      must(row.every((one) => typeof one === "string"), "a cell that is no text");
    }
  },
});

/** A tokenizer.json of another kind, as the tokenizers library writes it. */
const other = (model: unknown, rest: Record<string, unknown>): Bytes =>
  bytes(JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id: 0, content: "[UNK]", special: true, normalized: false }],
    model,
    ...rest,
  }));
const { tokenizer } = trainTokenizer(["a good film", "a bad film"], { sentinels: 2 });
const tokenizers: Readonly<Record<string, Bytes>> = {
  Unigram: bytes(JSON.stringify(tokenizer)),
  WordPiece: other(
    {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, a: 3, film: 4, "##s": 5 },
    },
    {
      normalizer: { type: "BertNormalizer", clean_text: true, lowercase: true },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: {
        type: "TemplateProcessing",
        single: [
          { SpecialToken: { id: "[CLS]", type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
          { SpecialToken: { id: "[SEP]", type_id: 0 } },
        ],
        pair: [],
        special_tokens: {
          "[CLS]": { id: "[CLS]", ids: [1], tokens: ["[CLS]"] },
          "[SEP]": { id: "[SEP]", ids: [2], tokens: ["[SEP]"] },
        },
      },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    },
  ),
  BPE: other(
    {
      type: "BPE",
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      vocab: { "[UNK]": 0, a: 1, f: 2, i: 3, l: 4, m: 5, Ġ: 6, fi: 7, lm: 8, film: 9, Ġfilm: 10 },
      merges: ["f i", "l m", "fi lm", "Ġ film"],
    },
    {
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel" },
    },
  ),
};
await Deno.writeTextFile(
  `${dir}/tokenizer_config.json`,
  JSON.stringify({ ...TOKENIZER_CONFIG, eos_token: null, pad_token: null, unk_token: null }),
);
for (const [name, seed] of Object.entries(tokenizers)) {
  fuzz({
    name: `tokenizer.json, ${name}`,
    seeds: [seed],
    mutate: mutateJson,
    read: async (input) => {
      Deno.writeFileSync(`${dir}/tokenizer.json`, input);
      const { encode, encodeBare, decode, vocabSize, padId } = await loadTokenizer(dir);
      must(Number.isSafeInteger(vocabSize) && padId < vocabSize, "a wrong vocabulary");
      for (const ids of [encode("a good fïlm"), encodeBare("a film"), encode("")]) {
        const known = ids.every((id) => Number.isSafeInteger(id) && id >= 0 && id < vocabSize);
        must(known, `ids ${ids} outside the vocabulary of ${vocabSize}`);
        must(typeof decode(ids) === "string", "no text");
      }
    },
  });
}
