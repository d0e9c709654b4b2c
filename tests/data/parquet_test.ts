import { assertEquals, assertRejects } from "@std/assert";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { cardClasses } from "../../lib/data/card_classes.ts";
import { loadDataset } from "../../lib/data/dataset.ts";
import { readParquet } from "../../lib/data/parquet.ts";

type Rows = readonly (readonly [text: string | null, label: unknown])[];
type Options = Partial<Parameters<typeof parquetWriteBuffer>[0]>;

/** A file of texts and labels, as the Hub's `datasets` library writes one. */
function parquet(rows: Rows, options: Options = {}): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "sentence", data: rows.map(([text]) => text), type: "STRING" },
      { name: "label", data: rows.map(([, label]) => label) },
    ],
    ...options,
  }));
}

/** The metadata that names the classes. */
function features(...names: string[]): Options {
  const info = { features: { label: { names, _type: "ClassLabel" } } };
  return { kvMetadata: [{ key: "huggingface", value: JSON.stringify({ info }) }] };
}

async function inFolder(
  files: Record<string, string | Uint8Array>,
  fn: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const path = `${dir}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(path, bytes);
    }
    await fn(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const train: Rows = [["good  film", 1n], ["bad film", 0n], ["a good one", 1n], ["poor", 0n]];
const dev: Rows = [["fine", 1n], ["bad", 0n]];
const hidden: Rows = [["who knows", -1n]];

Deno.test("a folder of Parquet files is a data set, parts in order, hidden tests passed over", () =>
  inFolder({
    "data/train-00000-of-00002.parquet": parquet(train.slice(0, 3)),
    "data/train-00001-of-00002.parquet": parquet(train.slice(3)),
    "data/validation-00000-of-00001.parquet": parquet(dev),
    "data/test-00000-of-00001.parquet": parquet(hidden),
  }, async (dir) => {
    const data = await loadDataset({ dir });
    assertEquals(data.labels, ["0", "1"]);
    assertEquals(data.train.map(({ text, label, id }) => [text, label, id]), [
      ["good film", 1, 0],
      ["bad film", 0, 1],
      ["a good one", 1, 2],
      ["poor", 0, 3],
    ]);
    assertEquals(data.validation.map(({ text, label }) => [text, label]), [["fine", 1], [
      "bad",
      0,
    ]]);
    assertEquals(data.test, undefined);
    assertEquals(data.source.files.map(({ split, name, rows }) => [split, name, rows]), [
      ["train", "train-00000-of-00002.parquet", 3],
      ["train", "train-00001-of-00002.parquet", 1],
      ["validation", "validation-00000-of-00001.parquet", 2],
    ]);
    assertEquals(data.source.notes.filter((note) => note.startsWith("test-")), [
      "test-00000-of-00001.parquet passed over: its labels are hidden (all are -1)",
    ]);
  }));

Deno.test("Parquet and TSV of the same rows are the same data", () =>
  inFolder({
    "a/train.parquet": parquet(train),
    "a/dev.parquet": parquet(dev),
    "b/train.tsv": ["sentence\tlabel", ...train.map((row) => row.join("\t"))].join("\n"),
    "b/dev.tsv": ["sentence\tlabel", ...dev.map((row) => row.join("\t"))].join("\n"),
  }, async (dir) => {
    const [a, b] = [
      await loadDataset({ dir: `${dir}/a` }),
      await loadDataset({ dir: `${dir}/b` }),
    ];
    assertEquals(a.digest, b.digest);
  }));

Deno.test("classes are named by the file's features, in their order", () =>
  inFolder({
    "train.parquet": parquet(train, features("positive", "negative")),
    "validation.parquet": parquet(dev, features("positive", "negative")),
  }, async (dir) => {
    const data = await loadDataset({ dir });
    assertEquals(data.labels, ["positive", "negative"]);
    assertEquals(data.train.map(({ label }) => label), [1, 0, 1, 0]);
  }));

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
          '1': "positive"
  splits:
  - name: train
- config_name: other
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': no
          '1': yes
configs:
- config_name: sst2
---
# A card
`;

Deno.test("or else by the data set's card", () =>
  inFolder({ "README.md": card, "sst2/train.parquet": parquet(train) }, async (dir) => {
    const { classes } = await readParquet(`${dir}/sst2/train.parquet`);
    assertEquals(classes?.get("label"), ["negative", "positive"]);
    assertEquals(classes?.has("sentence"), false);
    assertEquals(cardClasses(card, "label", "other"), ["no", "yes"]);
    assertEquals(cardClasses(card, "label", "third"), null); // two answers
    assertEquals(cardClasses(card, "idx", "sst2"), null);
    assertEquals(cardClasses("# No header", "label", "sst2"), null);
    const single = card.replace("- config_name: sst2\n", "").replace(
      /- config_name: other[^]*?configs/,
      "configs",
    );
    assertEquals(cardClasses(single, "label", "third"), ["negative", "positive"]);
  }));

Deno.test("codecs that hyparquet lacks are read", () =>
  inFolder({
    "gzip.parquet": parquet(train, { codec: "GZIP", compressors: { GZIP: (b) => gzipSync(b) } }),
    "zstd.parquet": parquet(train, {
      codec: "ZSTD",
      compressors: { ZSTD: (b) => zstdCompressSync(b) },
    }),
    "none.parquet": parquet(train, { codec: "UNCOMPRESSED" }),
  }, async (dir) => {
    for (const name of ["gzip", "zstd", "none"]) {
      const { rows } = await readParquet(`${dir}/${name}.parquet`);
      assertEquals(rows, train.map(([text, label]) => [text!, String(label)]), name);
    }
  }));

Deno.test("what is wrong with Parquet data is said, with file and row", () =>
  inFolder({
    "null/train.parquet": parquet([["a", 0n], [null, 1n]]),
    "part/train-00000-of-00003.parquet": parquet(train),
    "part/train-00001-of-00003.parquet": parquet(train),
    "both/train.parquet": parquet(train),
    "both/train.tsv": "sentence\tlabel\na\t0\nb\t1\n",
    "text/train.parquet": "no such thing",
    "cut/train.parquet": parquet(train).subarray(0, 60),
    "configs/sst2/train.parquet": parquet(train),
    "configs/cola/train.parquet": parquet(train),
  }, async (dir) => {
    const rejects = (name: string, message: string) =>
      assertRejects(() => loadDataset({ dir: `${dir}/${name}` }), Error, message);
    await rejects("null", "train.parquet, row 2: the text is empty");
    await rejects("part", "the split train has 3 parts, found 2");
    await rejects("both", "train.parquet and train.tsv could both be the train split");
    await rejects("text", "train.parquet: not a Parquet file that can be read");
    await rejects("cut", "train.parquet: not a Parquet file that can be read");
    await rejects("configs", "found no such files, and the folders cola, sst2: name one of them");
    await assertRejects(
      () => readParquet(`${dir}/none.parquet`),
      Error,
      "none.parquet: no such file or folder",
    );
  }));
