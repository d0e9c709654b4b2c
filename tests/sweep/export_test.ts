/** Runs exported to every format: what each folder holds, what loads back, and what is refused. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ONNX_RUNTIME_PACKAGE } from "../../lib/infer/onnx_runtime.ts";
import { readJsonFile } from "../../lib/formats/huggingface.ts";
import { methods } from "../../lib/peft/index.ts";
import { openBase } from "../../lib/sweep/base.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { type ExportFormat, exportRun } from "../../lib/sweep/export.ts";
import { openAdapter } from "../../lib/sweep/open_adapter.ts";
import { openExport } from "../../lib/sweep/open_export.ts";
import { runSweep } from "../../lib/sweep/runner.ts";
import { openTuned, type Tuned, type TunedModel } from "../../lib/sweep/tuned.ts";
import { mergeMethod } from "../../lib/peft/merge.ts";
import { parse as parseYaml } from "yaml";
import { options, withFolder } from "./fake_sweep.ts";

/** Trains each method a little, once for all tests of this file. */
async function withRuns(
  text: string,
  task: "classification" | "text-to-text",
  use: (runs: Tuned[], folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (out) => {
    const experiment = sweep({
      methods: text,
      task,
      trainSize: 32,
      settings: { epochs: 1, batchSize: 16, maxLength: 24 },
      out,
    });
    const prepared = await prepareSweep(resolveExperiment(experiment, methods));
    try {
      await runSweep(prepared.cells, prepared.runCell, {
        ...options(out),
        label: ({ name, options }) => methods[name].label(options),
      });
    } finally {
      prepared.close();
    }
    const runs: Tuned[] = [];
    for (const cell of prepared.cells) runs.push(await openTuned(`${out}/${cellId(cell)}`));
    await use(runs, out);
  });
}

/** Whether two models compute the same: parameters of the same names hold the same bits. */
function assertSameValues(actual: TunedModel, expected: TunedModel, about: string): void {
  for (const { name } of actual.model.scope.select()) {
    assertEquals(actual.values.get(name), expected.values.get(name), `${about}: ${name}`);
  }
  for (const { name } of actual.attached.delta.select()) {
    assertEquals(actual.values.get(name), expected.values.get(name), `${about}: ${name}`);
  }
  assertEquals(actual.labels, expected.labels);
  assertEquals(actual.maxLength, expected.maxLength);
  const text = "the film was superb, and everyone clapped";
  assertEquals(actual.encode(text), expected.encode(text));
  assertEquals(actual.labelWords, expected.labelWords);
}

const expected: Readonly<Record<ExportFormat, readonly string[]>> = {
  adapterhub: ["README.md", "adapter.safetensors", "adapter_config.json", "run.tunegrid.json"],
  peft: ["README.md", "adapter_config.json", "adapter_model.safetensors", "run.tunegrid.json"],
  safetensors: ["README.md", "delta.safetensors", "run.tunegrid.json", "tunegrid.json"],
  huggingface: [
    "README.md",
    "config.json",
    "model.safetensors",
    "run.tunegrid.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ],
  onnx: ["README.md", "model.onnx", "run.tunegrid.json", "tokenizer.json", "tokenizer_config.json"],
};

Deno.test("every run is exported as its formats allow, and loads back to the bit", async () => {
  const text =
    "zero_shot full lora:rank=2 lora:rank=2;init=pissa lora:semantics=opendelta;rank=2 " +
    "ia3 soft_prompt:tokens=3 prefix:tokens=2;semantics=peft prefix:tokens=2 " +
    "adapter:bottleneck=3;placement=houlsby adapter:semantics=adapterhub";
  const embedded = await openBase("embedded");
  await withRuns(text, "text-to-text", async (runs, out) => {
    let count = 0;
    const to = async (run: Tuned, format: ExportFormat, merged = false) => {
      const folder = `${out}/exports/${count++}`;
      const files = await exportRun(run, { to: format, out: folder, merged });
      assertEquals(files, expected[format]);
      await assertCard(folder, run, format);
      return folder;
    };
    const refused = async (run: Tuned, format: ExportFormat, message: string, merged = false) => {
      const folder = `${out}/exports/${count++}`;
      const error = await assertRejects(
        () => exportRun(run, { to: format, out: folder, merged }),
        TypeError,
      );
      assertStringIncludes(error.message, message);
      for (const left of [folder, `${folder}.partial`]) {
        await assertRejects(() => Deno.stat(left), Deno.errors.NotFound);
      }
    };
    for (const run of runs) {
      const { name, options } = run.cell.method;
      const about = `${name} ${JSON.stringify(options)}`;
      if (name !== "zero_shot") {
        const own = await to(run, "safetensors");
        assertSameValues(await openExport(own, embedded), run, about);
      }
      if (name === "adapter") {
        assertSameValues(await openExport(await to(run, "adapterhub"), embedded), run, about);
        await refused(run, "peft", "Cannot save adapter for PEFT");
      } else if (name === "prefix" && options.semantics === "own") {
        await refused(run, "peft", "reaches a T5's decoder alone");
      } else if (name === "full" || name === "zero_shot") {
        const whole = await openExport(await to(run, "huggingface"));
        assertSameValues(whole, run, about);
        await refused(run, "peft", "adds nothing");
      } else {
        const folder = await to(run, "peft");
        const back = await openExport(folder, embedded);
        if (options.init === "pissa") {
          // Another way of saying the same: the merged weights agree.
          const merged = (one: TunedModel) =>
            mergeMethod(one.model, one.method, one.options, one.values);
          const [mine, theirs] = [merged(run), merged(back)];
          for (const { name } of run.model.scope.select()) {
            const far = mine.get(name)!.findIndex((value, i) =>
              !(Math.abs(value - theirs.get(name)![i]) <= 1e-6 * Math.max(1, Math.abs(value)))
            );
            assertEquals(far, -1, `${about}: ${name}`);
          }
          assertEquals(back.options.rank, 4);
        } else assertSameValues(back, run, about);
      }
      if (name === "lora" || name === "ia3") {
        const whole = await openExport(await to(run, "huggingface", true));
        const merged = mergeMethod(run.model, run.method, run.options, run.values);
        for (const { name } of whole.model.scope.select()) {
          assertEquals(whole.values.get(name), merged.get(name), `${about}: ${name}`);
        }
        await refused(run, "huggingface", "use --merged");
        await refused(run, "peft", "leave --merged out", true);
      }
      if (name === "soft_prompt") {
        await refused(run, "huggingface", "cannot be merged; use --to peft", true);
        await to(run, "onnx");
      }
    }
  });
});

Deno.test("a head on a T5's encoder is exported as transformers can hold it", async () => {
  const embedded = await openBase("embedded");
  await withRuns("head lora:rank=2 ia3 prefix:tokens=2", "classification", async (runs, out) => {
    for (const run of runs) {
      const { name } = run.cell.method;
      const folder = `${out}/exports/${name}`;
      if (name === "prefix") {
        const error = await assertRejects(() => exportRun(run, { to: "peft", out: folder }));
        assertStringIncludes((error as Error).message, "own semantics every stack");
        continue;
      }
      if (name === "head") {
        await exportRun(run, { to: "huggingface", out: folder });
        const config = await readJsonFile(`${folder}/config.json`);
        assertEquals(config.architectures, ["T5ForTokenClassification"]);
        assertEquals(config.id2label, Object.fromEntries(run.labels.map((one, i) => [i, one])));
        assertSameValues(await openExport(folder), run, name);
        continue;
      }
      await exportRun(run, { to: "peft", out: folder });
      const config = await readJsonFile(`${folder}/adapter_config.json`);
      assertEquals(config.task_type, "TOKEN_CLS");
      assertSameValues(await openExport(folder, embedded), run, name);
      await assertCard(folder, run, "peft");
    }
  });
});

Deno.test("an export never takes the place of something else", async () => {
  await withRuns("lora:rank=1", "text-to-text", async ([run], out) => {
    const folder = `${out}/adapter`;
    await Deno.mkdir(folder);
    await exportRun(run, { to: "peft", out: `${folder}/` }); // an empty folder is taken
    await assertRejects(() => exportRun(run, { to: "peft", out: folder }), Error, "--force");
    await exportRun(run, { to: "safetensors", out: folder, force: true });
    await assertRejects(() => Deno.stat(`${folder}/adapter_config.json`), Deno.errors.NotFound);
    const files = await exportRun(run, {
      to: "peft",
      out: folder,
      force: true,
      baseName: "me/base",
    });
    assertEquals(files, expected.peft);
    const config = await readJsonFile(`${folder}/adapter_config.json`);
    assertEquals(config.base_model_name_or_path, "me/base");
    const other = `${out}/other`;
    await Deno.mkdir(other);
    await Deno.writeTextFile(`${other}/thesis.txt`, "all of it");
    await assertRejects(
      () => exportRun(run, { to: "peft", out: other, force: true }),
      Error,
      "something else than an export",
    );
    assertEquals(await Deno.readTextFile(`${other}/thesis.txt`), "all of it");
    await assertRejects(
      () => exportRun(run, { to: "peft", out: `${other}/thesis.txt` }),
      Error,
      "a part of the path is not a folder",
    );
    const wrong = { ...await openBase("embedded"), digest: "0".repeat(64) };
    await assertRejects(() => openExport(folder, wrong), RangeError, "and this base is embedded");
    await assertRejects(() => openExport(folder), Error, "give its base, embedded, too");
  });
});

Deno.test("a delta that does not say what for is opened with its task", async () => {
  const embedded = await openBase("embedded");
  await withRuns("lora:rank=1 soft_prompt:tokens=2", "text-to-text", async (runs, out) => {
    for (const run of runs) {
      const folder = `${out}/exports/${run.cell.method.name}`;
      await exportRun(run, { to: "peft", out: folder });
      await Deno.remove(`${folder}/run.tunegrid.json`); // as another library leaves it
      const { labels, prefix, labelWords } = run.cell.task;
      const tuned = await openAdapter(folder, embedded, {
        ...{ labels, prefix, labelWords, maxLength: run.cell.settings.maxLength },
      });
      assertSameValues(tuned, run, run.cell.method.name);
    }
    await assertRejects(
      () => openAdapter(out, embedded, { labels: ["a", "b"] }),
      Error,
      "no delta",
    );
  });
});

Deno.test("the card's program for Deno runs as it stands", async () => {
  await withRuns("lora:rank=1 full", "text-to-text", async ([lora, full], out) => {
    const exports: [Tuned, ExportFormat][] = [[lora, "peft"], [full, "huggingface"], [
      full,
      "onnx",
    ]];
    for (const [run, to] of exports) {
      const folder = `${out}/exports/${to}`;
      await exportRun(run, { to, out: folder });
      const card = await Deno.readTextFile(`${folder}/README.md`);
      const [, code] = /```ts\n([^]+?)```/.exec(card)!;
      const program = code.replace("jsr:@tunegrid/tunegrid", import.meta.resolve("../../mod.ts"))
        .replace("npm:onnxruntime-node", ONNX_RUNTIME_PACKAGE)
        .replace('"FOLDER"', JSON.stringify(folder));
      await Deno.writeTextFile(`${folder}/program.ts`, program);
      const { code: status, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          "--no-lock",
          "--config",
          `${Deno.cwd()}/deno.json`,
          "program.ts",
        ],
        cwd: folder,
        env: { NO_COLOR: "1" },
      }).output();
      assertEquals(status, 0, new TextDecoder().decode(stderr));
      const printed = new TextDecoder().decode(stdout);
      assertMatch(
        printed,
        to === "onnx"
          ? /^Float32Array\(2\) \[.+\]\n$/
          : /^(positive|negative) \[ 0\.\d+, 0\.\d+ \]\n$/,
      );
    }
  });
});

const SECTIONS = [
  "Base and method",
  "Data",
  "Results",
  "Size and cost",
  "Use in Deno",
  "Use in Python",
  "Limits",
];

/** The folder's card: its header is YAML with the run's numbers, and no section is empty. */
async function assertCard(folder: string, run: Tuned, format: ExportFormat): Promise<void> {
  const card = await Deno.readTextFile(`${folder}/README.md`);
  const [empty, head, body] = card.split(/^---$/m);
  assertEquals(empty, "");
  const header = parseYaml(head);
  assertEquals(header.pipeline_tag, "text-classification");
  assertEquals(header.base_model, "embedded");
  const library = {
    ...{ peft: "peft", adapterhub: "adapters", huggingface: "transformers", onnx: "onnx" },
    safetensors: "tunegrid",
  }[format];
  assertEquals(header.library_name, library);
  const [{ results }] = header["model-index"];
  const measured = Object.entries(run.run.result!.splits);
  assertEquals(results.length, measured.length);
  for (const [i, [split, { accuracy }]] of measured.entries()) {
    assertEquals(results[i].dataset.split, split);
    const found = results[i].metrics.find(({ type }: { type: string }) => type === "accuracy");
    assertEquals(found.value, +accuracy.toFixed(6));
  }
  const titles = [...body.matchAll(/^## (.+)$/gm)].map(([, title]) => title);
  assertEquals(titles, SECTIONS);
  for (const part of body.split(/^## .+$/m)) assert(part.trim().length > 40, part);
  for (const wanted of [run.cell.base.digest, run.cell.data.digest, run.run.id, "95 % interval"]) {
    assertStringIncludes(body, wanted);
  }
  assert(!/undefined|\bNaN\b|null|more information needed|\[object/i.test(body), body);
  assert(!body.includes(folder) && !body.includes(Deno.cwd()), "a path of this machine");
}
