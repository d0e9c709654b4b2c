/** fineTune() trains the cell that a sweep would, and its classifier answers as the run did. */

import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { datasetFrom } from "../../lib/data/from_examples.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { openClassifier } from "../../lib/sweep/classifier.ts";
import { fineTune } from "../../lib/sweep/fine_tune.ts";
import type { EpochMetrics } from "../../lib/sweep/run_cell.ts";
import { runExperiment } from "../../lib/sweep/run_experiment.ts";
import { openTuned } from "../../lib/sweep/tuned.ts";
import { withFolder } from "./fake_sweep.ts";

const settings = { epochs: 2, batchSize: 16 };

Deno.test("fineTune() trains what a sweep's cell trains, bit by bit", async () => {
  await withFolder(async (out) => {
    const seen: string[] = [];
    const { table, runs: [run] } = await runExperiment({
      methods: "lora:rank=2",
      trainSize: 64,
      seeds: [3],
      settings,
      evaluate: ["validation"],
      out,
    }, {
      onEpoch: ({ number, count }, { epoch }) => seen.push(`${number}/${count} epoch ${epoch}`),
      onCell: (_, { kind }) => seen.push(kind),
    });
    assertEquals(seen, ["1/1 epoch 1", "1/1 epoch 2", "done"]);
    assertEquals(table.rows.map(({ approach, error }) => [approach, error]), [
      ["LoRA, rank 2", null],
    ]);
    const swept = await openTuned(`${out}/${run.id}`);

    const epochs: EpochMetrics[] = [];
    const data = embeddedDataset();
    await using tuned = await fineTune({
      base: await openBase("embedded"),
      data: { ...data, test: undefined },
      method: { name: "lora", options: { rank: 2 } },
      settings,
      seed: 3,
      trainSize: 64,
      onEpoch: (metrics) => epochs.push(metrics),
    });
    assert(swept.attached.trainable.length > 0);
    for (const { name } of swept.attached.trainable) {
      assertEquals(tuned.tuned.values.get(name), swept.values.get(name), name);
    }
    assertEquals(tuned.result.epochs, epochs);
    assertEquals(tuned.result.last.accuracy, run.result!.last.accuracy);

    // What it measures itself is what training measured; what it saves opens again.
    const { accuracy, loss, examples } = await tuned.evaluate(data.validation);
    assertEquals([accuracy, examples], [tuned.result.last.accuracy, data.validation.length]);
    assertAlmostEquals(loss, tuned.result.last.evalLoss, 1e-6);
    await tuned.save(`${out}/saved`);
    const again = await openClassifier(`${out}/saved`);
    const texts = data.validation.slice(0, 5).map(({ text }) => `  ${text} `);
    const [first, second] = [await tuned.predict(texts), await again.predict(texts)];
    assertEquals(second, first);
    first.forEach(({ text, label, probabilities }, i) => {
      const { prediction, scores } = tuned.result.predictions[i];
      assertEquals([text, label], [data.validation[i].text, data.labels[prediction]]);
      probabilities.forEach((p, c) => assertAlmostEquals(p, scores[c], 1e-6));
    });
    await assertRejects(() => tuned.save(`${out}/saved`), Error, "it holds a finished run");
    await again.close();
    assertEquals(await again.predict(texts), second);
    await again.close();
  });
});

Deno.test("a classifier answers calls at the same time, and refuses what it cannot", async () => {
  await using classifier = await fineTune({
    base: await openBase("embedded"),
    data: datasetFrom({
      train: [{ text: "superb", label: "yes" }, { text: "stale", label: "no" }],
      validation: [{ text: "superb", label: "yes" }],
    }),
    method: "head",
    settings: { epochs: 1 },
    batch: 2,
  });
  const texts = ["a", "a much longer text than that one, with words and words", "c", "d"];
  const [all, ...single] = await Promise.all([
    classifier.predict(texts),
    ...texts.map((text) => classifier.predict([text])),
  ]);
  assertEquals(single.map(([one]) => one.label), all.map(({ label }) => label));
  single.forEach(([one], i) =>
    one.probabilities.forEach((p, c) => assertAlmostEquals(p, all[i].probabilities[c], 1e-5))
  );
  assertEquals(await classifier.predict([]), []);
  await assertRejects(() => classifier.predict(["a", " "]), RangeError, "text 1: it is empty");
  await assertRejects(() => classifier.evaluate([]), RangeError, "no examples");
  await assertRejects(
    () => classifier.evaluate([{ text: "a", label: 2 }]),
    RangeError,
    "class 2 is not one of the 2 classes",
  );
});

Deno.test("fineTune() refuses several methods, and ends when its signal says so", async () => {
  const given = {
    base: await openBase("embedded"),
    data: datasetFrom({
      train: [{ text: "superb", label: "yes" }, { text: "stale", label: "no" }],
      validation: [{ text: "superb", label: "yes" }],
    }),
  };
  await assertRejects(
    () => fineTune({ ...given, method: "lora:rank=1,2" }),
    RangeError,
    "Cannot fine-tune by 2 methods at once",
  );
  await assertRejects(
    () => fineTune({ ...given, method: "lora:ranks=1" }),
    TypeError,
    'Cannot use option "ranks" of lora',
  );
  const reason = new Error("enough");
  await assertRejects(
    () => fineTune({ ...given, method: "head", signal: AbortSignal.abort(reason) }),
    Error,
    "enough",
  );
});
