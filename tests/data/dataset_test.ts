import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { type DatasetOptions, loadDataset } from "../../lib/data/dataset.ts";
import { fixtureTest } from "../fixtures.ts";

async function inFolder(
  files: Record<string, string>,
  fn: (
    dir: string,
    load: (options?: DatasetOptions) => ReturnType<typeof loadDataset>,
  ) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${dir}/${name}`, text);
    }
    await fn(dir, (options) => loadDataset({ dir, ...options }));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const tsv = (...rows: [text: string, label: string][]) =>
  ["sentence\tlabel", ...rows.map((row) => row.join("\t"))].join("\n") + "\n";

const train = tsv(["good  one ", "pos"], ["bad one", "neg"], ["good one", "pos"], ["seen", "neg"], [
  "fine",
  "pos",
]);
const dev = tsv(["seen", "neg"], ["new", "pos"]);

Deno.test("loadDataset() reads splits, cleans texts and maps labels", () =>
  inFolder({ "train.tsv": train, "dev.tsv": dev, "notes.txt": "x" }, async (_, load) => {
    const data = await load();
    assertEquals(data.labels, ["neg", "pos"]);
    assertEquals(data.train[0], { text: "good one", label: 1, id: 0 });
    assertEquals(data.validation, [{ text: "seen", label: 0, id: 0 }, {
      text: "new",
      label: 1,
      id: 1,
    }]);
    assertEquals(data.test, undefined);
    assertEquals(
      data.source.files.map(({ split, name, rows }) => [split, name, rows]),
      [["train", "train.tsv", 5], ["validation", "dev.tsv", 2]],
    );
    assertEquals(data.duplicates.within, { train: 1, validation: 0, test: 0 });
    assertEquals(data.duplicates.across, { trainValidation: 1, trainTest: 0, validationTest: 0 });
    assertEquals(data.digest, (await load()).digest);
    const other = await load({ labels: ["pos", "neg"] });
    assertEquals([other.labels, other.train[0].label], [["pos", "neg"], 0]);
    assertNotEquals(other.digest, data.digest);
  }));

Deno.test("dedupe removes from training alone what leaks or is repeated", () =>
  inFolder({ "train.tsv": train, "dev.tsv": dev }, async (_, load) => {
    const data = await load({ dedupe: true });
    assertEquals(data.train.map(({ id }) => id), [0, 1, 4]);
    assertEquals(data.validation.length, 2);
    assertEquals(data.duplicates.removed, { repeated: 1, leaking: 1 });
    assertEquals(data.duplicates.across.trainValidation, 1); // counted before
  }));

Deno.test("texts under several labels are counted", () =>
  inFolder({
    "train.tsv": tsv(["a", "0"], ["b", "1"], ["a", "1"], ["a", "0"]),
    "dev.tsv": tsv(["b", "0"], ["c", "1"]),
  }, async (_, load) => {
    assertEquals((await load()).duplicates.conflicting, 2);
  }));

Deno.test("one file is split by ratio and seed, each class in its share", async () => {
  const rows = Array.from(
    { length: 100 },
    (_, i): [string, string] => [`t ${i}`, i % 4 ? "yes" : "no"],
  );
  await inFolder({ "train.csv": tsv(...rows).replaceAll("\t", ",") }, async (dir, load) => {
    const data = await load({ validationRatio: 0.2, seed: 3 });
    assertEquals([data.train.length, data.validation.length], [80, 20]);
    assertEquals(data.validation.filter(({ label }) => label === 0).length, 5);
    const ids = [...data.train, ...data.validation].map(({ id }) => id).sort((a, b) => a - b);
    assertEquals(ids, rows.map((_, i) => i));
    assertEquals((await load({ validationRatio: 0.2, seed: 3 })).digest, data.digest);
    assertNotEquals((await load({ validationRatio: 0.2, seed: 4 })).digest, data.digest);
    assert(
      data.source.notes.some((note) =>
        note.includes("20 of 100 training rows, stratified, seed 3")
      ),
    );
    assertEquals((await loadDataset({ dir: `${dir}/train.csv` })).validation.length, 10);
    assertEquals(
      (await loadDataset({ files: { train: `${dir}/train.csv` } })).validation.length,
      10,
    );
    await assertRejects(() => load({ validationRatio: 1 }), RangeError, "must lie between 0 and 1");
    const sample = await load({ trainSize: 20, seed: 3 });
    assertEquals([sample.train.length, sample.train.filter(({ label }) => label).length], [20, 15]);
    await assertRejects(() => load({ trainSize: 91 }), RangeError, "to 90 (all of them)");
  });
});

Deno.test("test files without labels are passed over, and that is noted", () =>
  inFolder({
    "train.tsv": train,
    "dev.tsv": dev,
    "test.tsv": "index\tsentence\n0\thidden\n",
    "test-hub.tsv": tsv(["hidden", "-1"]),
    "test-labeled.tsv": tsv(["shown", "neg"]),
  }, async (dir, load) => {
    const data = await load();
    assertEquals(data.test, [{ text: "shown", label: 0, id: 0 }]);
    assert(data.source.notes.includes("test.tsv passed over: it has no labels"));
    assert(
      data.source.notes.includes("test-hub.tsv passed over: its labels are hidden (all are -1)"),
    );
    await Deno.writeTextFile(`${dir}/test-b.tsv`, tsv(["x", "pos"]));
    await assertRejects(() => load(), Error, "could both be the test split");
  }));

Deno.test("other columns are named by the caller", () =>
  inFolder({
    "train.csv": 'id,review,stars\n1,"a, b",5\n2,c,10\n',
    "validation.csv": "stars,review\n10,d\n",
  }, async (_, load) => {
    const data = await load({ textColumn: "review", labelColumn: "stars" });
    assertEquals(data.labels, ["5", "10"]);
    assertEquals(data.train[0].text, "a, b");
    assertEquals(data.validation, [{ text: "d", label: 1, id: 0 }]);
    await assertRejects(
      () => load(),
      RangeError,
      "no text column sentence or text; found id, review, stars",
    );
    await assertRejects(
      () => load({ textColumn: "review" }),
      RangeError,
      "no label column label; found id",
    );
  }));

const bad: [
  what: string,
  files: Record<string, string>,
  options: DatasetOptions,
  message: string,
][] = [
  [
    "a missing label",
    { "train.tsv": train, "dev.tsv": tsv(["a", " "]) },
    {},
    "dev.tsv, line 2: the label is missing",
  ],
  [
    "a label that training does not have",
    { "train.tsv": train, "dev.tsv": tsv(["a", "pos"], ["b", "posi"]) },
    {},
    'dev.tsv, line 3: unknown label "posi"; known are neg, pos',
  ],
  ["a label not in the given ones", { "train.tsv": train, "dev.tsv": dev }, {
    labels: ["pos", "x"],
  }, 'train.tsv, line 3: unknown label "neg"'],
  [
    "an empty text",
    { "train.tsv": train, "dev.tsv": tsv(["\u0000 ", "pos"]) },
    {},
    "dev.tsv, line 2: the text is empty",
  ],
  ["one label for all", { "train.tsv": tsv(["a", "x"], ["b", "x"]) }, {}, "found 1 (x)"],
  ["no training file", { "dev.tsv": dev, "my.csv": "" }, {}, "no train.tsv, train.csv"],
  [
    "two training files",
    { "train.tsv": train, "train.csv": "" },
    {},
    "train.csv and train.tsv could both",
  ],
  [
    "two validation files",
    { "train.tsv": train, "dev.tsv": dev, "val.tsv": dev },
    {},
    "dev.tsv and val.tsv could both",
  ],
  ["a ratio beside a validation file", { "train.tsv": train, "dev.tsv": dev }, {
    validationRatio: 0.1,
  }, "leave out the ratio, or name the training file alone as data"],
  [
    "folder and files",
    { "train.tsv": train },
    { files: { train: "x" } },
    "one of dir and files is needed",
  ],
];

for (const [what, files, options, message] of bad) {
  Deno.test(`loadDataset() refuses ${what}`, () =>
    inFolder(files, async (_, load) => {
      await assertRejects(() => load(options), Error, message);
    }));
}

Deno.test("loadDataset() names a folder that is not there", async () => {
  await assertRejects(
    () => loadDataset({ dir: "no/such" }),
    Error,
    "Cannot read data no/such: no such file",
  );
});

fixtureTest("SST-2 is read as PROVENANCE.md describes it", async (folder) => {
  const data = await loadDataset({ dir: `${folder}/data/sst2`, dedupe: true });
  const source = Object.fromEntries(data.source.files.map((file) => [file.split, file]));
  assertEquals(source.train, {
    split: "train",
    name: "train.tsv.gz",
    sha256: "1c4843303462f8f93e006ff618a9e61d207468cafd030046d7d7fd6b78af342b",
    rows: 67_349,
  });
  assertEquals([source.validation.name, source.validation.rows], ["dev.tsv", 872]);
  assertEquals([source.test.name, source.test.rows], ["test-labeled.tsv", 1821]);
  assertEquals(data.labels, ["0", "1"]);
  // 66,978 distinct training sentences, none of them in dev.
  assertEquals(data.duplicates.within, { train: 67_349 - 66_978, validation: 0, test: 0 });
  assertEquals(data.duplicates.across.trainValidation, 0);
  const { repeated, leaking } = data.duplicates.removed;
  assertEquals(data.train.length, 67_349 - repeated - leaking);
  const all = await loadDataset({ dir: `${folder}/data/sst2`, trainSize: 4000, seed: 1 });
  const positive = (rows: readonly { label: number }[]) =>
    rows.filter(({ label }) => label === 1).length;
  assertEquals([all.validation.length, positive(all.validation)], [872, 444]);
  assertEquals([all.test!.length, positive(all.test!)], [1821, 904]);
  assertEquals([all.train.length, positive(all.train)], [4000, Math.round(4000 * 37_569 / 67_349)]);
  const whole = await loadDataset({ dir: `${folder}/data/sst2` });
  assertEquals([whole.train.length, positive(whole.train)], [67_349, 37_569]);
});
