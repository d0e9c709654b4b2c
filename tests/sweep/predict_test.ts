/** A finished run asked by both backends, in process and as a command. */

import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/csv/parse";
import config from "../../deno.json" with { type: "json" };
import { embeddedDataset } from "../../lib/data/embedded/dataset.ts";
import { readTexts } from "../../lib/data/text_stream.ts";
import type { Predictor } from "../../lib/infer/predict.ts";
import { exportRun } from "../../lib/sweep/export.ts";
import { runExperiment } from "../../lib/sweep/run_experiment.ts";
import { openTuned } from "../../lib/sweep/tuned.ts";
import { tunedPredictor } from "../../lib/sweep/tuned_scorer.ts";
import { largest, softmax } from "../../lib/train/metrics.ts";
import { fixtureTest } from "../fixtures.ts";
import { predictTask, withRuns } from "../predict_task.ts";
import { assertSameLabels, scoresOf } from "../same_labels.ts";

Deno.test("both backends give a run's own predictions", () =>
  withRuns("zero_shot head lora:rank=2 soft_prompt:tokens=3 full", async (out, ids) => {
    const cache = await Deno.makeTempDir();
    try {
      const texts = embeddedDataset().validation.map(({ text }) => text);
      for (const id of ids) {
        const tuned = await openTuned(`${out}/${id}`);
        const webgpu = await scoresOf(tunedPredictor(tuned, { backend: "webgpu" }), texts);
        const ort = await scoresOf(tunedPredictor(tuned, { backend: "ort", cache }), texts);
        const rows = parse(await Deno.readTextFile(`${out}/${id}/predictions.csv`), {
          skipFirstRow: true,
        });
        rows.forEach((row, i) => {
          assertEquals(row.prediction, tuned.labels[largest(webgpu[i])]);
          softmax(webgpu[i]).forEach((p, c) =>
            assertAlmostEquals(p, Number(row[`score ${tuned.labels[c]}`]), 1e-6)
          );
        });
        assertSameLabels(ort, webgpu);
      }
      // One export for each run, complete, and taken again.
      const kept = [...Deno.readDirSync(cache)].map(({ name }) => name);
      assertEquals(kept.map((name) => name.slice(0, 16)).sort(), [...ids].sort());
      const file = `${cache}/${kept[0]}/model.onnx`;
      const { mtime } = await Deno.stat(file);
      const tuned = await openTuned(`${out}/${kept[0].slice(0, 16)}`);
      await scoresOf(tunedPredictor(tuned, { backend: "ort", cache }), ["again"]);
      assertEquals((await Deno.stat(file)).mtime, mtime);
    } finally {
      await Deno.remove(cache, { recursive: true });
    }
  }));

fixtureTest("both backends label the 872 development sentences of SST-2 alike", async (folder) => {
  const out = await Deno.makeTempDir();
  try {
    const { runs } = await runExperiment({
      base: `${folder}/data/t5-tiny-imdb`,
      data: `${folder}/data/sst2`,
      methods: "lora:rank=8 head",
      trainSize: 160,
      settings: { epochs: 1 },
      evaluate: ["validation"],
      out,
    });
    const file = "dev.tsv";
    const bytes = (await Deno.open(`${folder}/data/sst2/${file}`)).readable;
    const texts = await Array.fromAsync(readTexts(bytes, { file, column: "sentence" }));
    assertEquals(texts.length, 872);
    for (const { id, result } of runs) {
      const tuned = await openTuned(`${out}/${id}`);
      const webgpu = await scoresOf(tunedPredictor(tuned, { backend: "webgpu" }), texts);
      const ort = await scoresOf(tunedPredictor(tuned, { backend: "ort", cache: out }), texts);
      const { close } = assertSameLabels(ort, webgpu);
      assert(close < 10, `${close} sentences lie too close to be told apart`);
      // They are the sentences that the run was measured on.
      const { confusion } = result!.kept;
      const predicted = confusion[0].map((_, c) => confusion.reduce((sum, row) => sum + row[c], 0));
      const counted = [0, 1].map((c) => webgpu.filter((scores) => largest(scores) === c).length);
      assertEquals(counted, predicted);
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("predict writes tables, CSV and JSON lines, in the order of its input", () =>
  withRuns("lora:rank=1", async (out, [id]) => {
    const run = ["--runs", out, "--run", id.slice(0, 6), "--backend", "ort"];
    const texts = embeddedDataset().validation.slice(0, 50).map(({ text }) => text);
    const kept = parse(await Deno.readTextFile(`${out}/${id}/predictions.csv`), {
      skipFirstRow: true,
    });

    // One text a batch: several parts, whose lengths are mixed.
    const jsonl = await predictTask([...run, "--format", "jsonl", "--batch", "1"], {
      stdin: texts.join("\n"),
    });
    assertEquals([jsonl.code, jsonl.err], [0, "Scored by ONNX Runtime (cpu): asked for\n"]);
    const lines = jsonl.out.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ text }) => text), texts);
    lines.forEach(({ label, probabilities }, i) => {
      assertEquals(label, kept[i].prediction);
      assertEquals(Object.keys(probabilities), ["negative", "positive"]);
      assertAlmostEquals(probabilities.positive, Number(kept[i]["score positive"]), 1e-4);
    });

    const file = `${out}/texts.csv`;
    await Deno.writeTextFile(
      file,
      `id,text\n${texts.map((text, i) => `${i},"${text}"`).join("\n")}\n`,
    );
    const csv = await predictTask([...run, "--file", file, "--column", "text"]);
    assertEquals(csv.code, 0, csv.err);
    const rows = parse(csv.out, { skipFirstRow: true });
    assertEquals(rows.map(({ text }) => text), texts);
    assertEquals(Object.keys(rows[0]), [
      ...["text", "label", "probability negative", "probability positive"],
    ]);
    rows.forEach((row, i) => {
      assertEquals(row.label, lines[i].label);
      assertAlmostEquals(
        Number(row["probability negative"]),
        lines[i].probabilities.negative,
        1e-5,
      );
    });

    const table = await predictTask([...run, "--format", "table", "the music is superb", "bad\n"]);
    assertMatch(
      table.out,
      /^label {5}negative {2}positive {2}text\n\w+ +[01]\.\d{4} +[01]\.\d{4} {2}the music is superb\n\w+ .* {2}bad\n$/,
    );

    const webgpu = await predictTask([...run.slice(0, -1), "webgpu", texts[0], "--format=jsonl"]);
    assertMatch(webgpu.err, /^Scored by WebGPU \(.*\): asked for\n$/);
    assertAlmostEquals(
      JSON.parse(webgpu.out).probabilities.positive,
      lines[0].probabilities.positive,
      1e-4,
    );

    const long = await predictTask([...run, "word ".repeat(500), "short"]);
    assertMatch(long.err, /\n1 of 2 texts are longer than 128 tokens and were cut\n$/);
  }));

Deno.test("predict writes a file whole or not at all", () =>
  withRuns("zero_shot", async (out, [id]) => {
    const run = ["--run", `${out}/${id}`, "--backend", "ort", "--out", `${out}/p.jsonl`];
    const flags = [`--allow-write=.cache,${out}`];
    const good = await predictTask([...run, "a", "b"], { flags });
    assertEquals([good.code, good.out], [0, ""], good.err);
    const written = await Deno.readTextFile(`${out}/p.jsonl`);
    assertEquals(written.trimEnd().split("\n").map((line) => JSON.parse(line).text), ["a", "b"]);
    const bad = await predictTask([...run, "--batch", "1"], {
      flags,
      stdin: "a\n".repeat(40) + "\nb\n",
    });
    assertEquals(bad.code, 1);
    assertMatch(bad.err, /error: Cannot read standard input, line 41: the text is empty\n$/);
    assertEquals(await Deno.readTextFile(`${out}/p.jsonl`), written);
    assertEquals([...Deno.readDirSync(out)].filter(({ name }) => name.endsWith(".tmp")), []);
    // What was granted nothing is said to be so.
    const denied = await predictTask([...run, "a"]);
    assertMatch(denied.err, /error: Cannot write .*p\.jsonl: Deno was not granted this access/);
  }));

Deno.test("an exported folder predicts without its run", () =>
  withRuns("soft_prompt:tokens=2", async (out, [id]) => {
    const model = `${out}/exported`;
    await exportRun(await openTuned(`${out}/${id}`), { to: "onnx", out: model });
    const texts = ["the music is superb", "a stale film"];
    const asked = await predictTask(["--runs", out, "--run", id, "--backend=ort", ...texts]);
    await Deno.remove(`${out}/${id}`, { recursive: true });
    const alone = await predictTask(["--model", model, ...texts]);
    assertEquals([alone.code, alone.out], [0, asked.out], alone.err);
    assertMatch(alone.err, /^Scored by ONNX Runtime \(cpu\): an exported model\n$/);
    const webgpu = await predictTask(["--model", model, "--backend", "webgpu", "a"]);
    assertMatch(webgpu.err, /^error: Cannot run .* an exported model runs in ONNX Runtime alone/);
    await Deno.writeTextFile(`${model}/model.onnx`, "no model");
    const broken = await predictTask(["--model", model, "a"]);
    assertMatch(broken.err, /^error: Cannot read .*model\.onnx: it is not an ONNX model/);
    const missing = await predictTask(["--model", out, "a"]);
    assertMatch(missing.err, /^error: Cannot read .*model\.onnx: no such file/);
  }));

Deno.test("predict says what is wrong, and what to do", () =>
  withRuns("zero_shot head", async (out, ids) => {
    const at = ["--runs", out];
    const [id] = ids;
    await Deno.mkdir(`${out}/half`);
    await Deno.copyFile(`${out}/${id}/run.json`, `${out}/half/run.json`);
    await Deno.writeTextFile(`${out}/t.csv`, "a,b\n1,2\n");
    await Deno.writeFile(`${out}/latin.txt`, Uint8Array.of(0x73, 0xe9, 10));
    const run = [...at, "--run", id, "--backend", "ort"];
    const cases: [string[], RegExp, { stdin?: string; env?: Record<string, string> }?][] = [
      [["a"], /no run is named; use --run ID/],
      [["--run", "x", "--model", "y", "a"], /--run and --model at once/],
      [[...at, "--run", "zz", "a"], /Cannot find run zz: it is neither a folder/],
      [[...at, "--run", "0000000000000000", "a"], /no run in .* begins so/],
      [[...at, "--run", "", "a"], /Cannot use --run: it takes a value/],
      [["--run", `${out}/half`, "a"], /it has no result; run its sweep again first/],
      [[...run, "a", " "], /Cannot read the command line, line 2: the text is empty/],
      [[...run, "a", "--file", `${out}/t.csv`], /Cannot use --file beside sentences/],
      [[...run, "--file", `${out}/t.csv`], /name the one with the texts with --column/],
      [[...run, "--file", `${out}/t.csv`, "--column", "c"], /no column "c"; it has a, b/],
      [[...run, "--file", `${out}/none.txt`], /Cannot read .*none\.txt: no such file/],
      [[...run, "--file", out], /Cannot read .*: it is a folder/],
      [[...run, "--file", `${out}/latin.txt`], /line 1: invalid UTF-8/],
      [[...run], /there is no text in standard input/],
      [[...run, "--batch", "0", "a"], /Cannot use --batch 0: must be a whole number/],
      [[...run, "--format", "xml", "a"], /--format xml: must be one of table, csv, jsonl/],
      [[...run, "--backend", "gpu", "a"], /--backend gpu: must be one of auto, webgpu, ort/],
      [[...run, "--backnd", "ort", "a"], /Cannot use option --backnd: no such option/],
      [
        [...at, "--run", id, "--backend", "webgpu", "--provider", "cpu", "a"],
        /Cannot use --provider with --backend webgpu/,
      ],
    ];
    // Two ids that begin alike, of folders that look like runs.
    for (const name of ["ffffffffffffff00", "ffffffffffffff01"]) {
      await Deno.mkdir(`${out}/${name}`);
      await Deno.copyFile(`${out}/${id}/run.json`, `${out}/${name}/run.json`);
    }
    cases.push([[...at, "--run", "ffff", "a"], /2 runs begin so \(.*00, .*01\); give more/]);
    for (const [args, message, given] of cases) {
      const { code, out: printed, err } = await predictTask(args, given);
      assertEquals([code, printed], [1, ""], `${args.join(" ")}: ${err}`);
      assertMatch(err.split("\n").find((line) => line.startsWith("error: ")) ?? err, message);
    }
  }));

Deno.test("predictions flow through in bounded parts, and a reader may leave", () =>
  withRuns("zero_shot", async (out, [id]) => {
    const tuned = await openTuned(`${out}/${id}`);
    const { predictTexts } = await import("../../lib/infer/predict.ts");
    let [open, read, largestPart] = [0, 0, 0];
    const predictor: Predictor = {
      ...tunedPredictor(tuned, { backend: "webgpu" }),
      open: () => {
        open++;
        return Promise.resolve({
          name: "counted",
          score: (ids) => {
            largestPart = Math.max(largestPart, ids.length);
            return Promise.resolve(ids.map(() => [0, 1]));
          },
          close: () => {
            open--;
            return Promise.resolve();
          },
        });
      },
    };
    async function* endless(): AsyncGenerator<string> {
      for (;; read++) yield await Promise.resolve(`text ${read}`);
    }
    let seen = 0;
    for await (const { text, label } of predictTexts(predictor, endless(), { batch: 4 })) {
      assertEquals([text, label], [`text ${seen}`, "positive"]);
      if (++seen === 1000) break;
    }
    assertEquals([open, largestPart], [0, 64]);
    assert(read < 1000 + 2 * 64, `${read} texts were read for 1000`);
    // As in `predict | head -n 1`, of more than a pipe holds.
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `"$0" ${config.tasks.predict.command.replace(/^deno /, "")} ` +
        `--run ${out}/${id} --backend ort --format jsonl | { read -r line; printf '%s' "$line"; }`,
        Deno.execPath(),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    const lines = Array.from({ length: 2000 }, (_, i) => `${"long ".repeat(20)} ${i}\n`).join("");
    await new Blob([lines]).stream().pipeTo(child.stdin).catch(() => {});
    const { stdout, stderr } = await output;
    assertMatch(JSON.parse(new TextDecoder().decode(stdout)).text, / 0$/);
    assertEquals(
      new TextDecoder().decode(stderr).split("\n").filter((line) => line.startsWith("error")),
      [],
    );
  }));
