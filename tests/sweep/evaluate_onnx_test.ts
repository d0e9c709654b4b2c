/** A run whose final evaluation is ONNX Runtime's: the same figures, and said so. */

import { assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/csv/parse";
import config from "../../deno.json" with { type: "json" };
import { ONNX_RUNTIME_FOLDER } from "../../lib/infer/onnx_runtime.ts";
import { runExperiment } from "../../lib/sweep/run_experiment.ts";
import type { Backend } from "../../lib/infer/backend.ts";

Deno.test("--eval-backend ort measures what WebGPU would, in cells of its own", async () => {
  const out = await Deno.makeTempDir();
  try {
    const runs = async (evalBackend: Backend) =>
      await runExperiment({
        methods: "lora:rank=1 head",
        trainSize: 64,
        settings: { epochs: 2, batchSize: 16, keep: "best" },
        evaluate: ["validation", "test"],
        evalBackend,
        out,
      });
    const { runs: webgpu, table: plain } = await runs("webgpu");
    const { runs: ort, table } = await runs("ort");
    for (const [i, { id, cell, result }] of ort.entries()) {
      const other = webgpu[i];
      assertEquals([cell.evalBackend, other.cell.evalBackend], ["ort", undefined]);
      assertEquals(
        [result!.evaluatedBy, other.result!.evaluatedBy],
        ["ONNX Runtime (cpu)", undefined],
      );
      for (const name of ["validation", "test"]) {
        const [split, expected] = [result!.splits[name], other.result!.splits[name]];
        assertAlmostEquals(split.loss, expected.loss, 1e-4);
        assertEquals(split.confusion, expected.confusion);
      }
      assertEquals(result!.last, other.result!.last);
      assertEquals(result!.kept.epoch, other.result!.kept.epoch);
      for (const file of ["predictions.csv", "predictions_test.csv"]) {
        const rows = async (run: string) =>
          parse(await Deno.readTextFile(`${out}/${run}/${file}`), { skipFirstRow: true });
        const [own, theirs] = [await rows(id), await rows(other.id)];
        assertEquals(own.length, 480);
        own.forEach((row, j) => {
          assertEquals(row.prediction, theirs[j].prediction);
          assertAlmostEquals(
            Number(row["score positive"]),
            Number(theirs[j]["score positive"]),
            1e-4,
          );
        });
        // Not a copy of the others: another program computed them.
        const scores = (all: typeof own) => all.map((row) => row["score positive"]).join();
        assertEquals(scores(own) === scores(theirs), false);
      }
    }
    const says = (notes: readonly string[]) =>
      notes.filter((note) => note.includes("ONNX Runtime (cpu)"));
    assertEquals(says(plain.notes), []);
    assertMatch(says(table.notes)[0], /^All runs were evaluated by ONNX Runtime \(cpu\) when/);
    assertEquals(
      [...Deno.readDirSync(".cache/onnx")].filter(({ name }) => name.endsWith(".tmp")),
      [],
    );
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("the sweep's own set has no FFI: what to do is said before anything is trained", async () => {
  const [, ...args] = config.tasks.sweep.command.split(" ");
  const lock = await Deno.readTextFile("deno.lock");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--methods", "head", "--eval-backend", "ort", "--out", "runs/.evaluate_onnx"],
    env: { NO_COLOR: "1" },
  }).output();
  await Deno.remove("runs/.evaluate_onnx", { recursive: true });
  // Nothing was fetched either, which the lock file would show.
  assertEquals(await Deno.readTextFile("deno.lock"), lock);
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stdout)], [1, ""]);
  const message = decoder.decode(stderr);
  assertMatch(message, /^error: Cannot load ONNX Runtime .*: this process was not granted FFI/);
  assertMatch(message, new RegExp(`\\./tunegrid.*--allow-ffi=${ONNX_RUNTIME_FOLDER}\n$`));
});
