import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type Kernel, kernel } from "../../kernels/kernel.ts";
import { matmulNaive, type MatmulSignature } from "../../kernels/matmul.ts";
import { matmulVariants } from "../../kernels/matmul_variants.ts";
import { encodeSafetensors, readSafetensors } from "../../lib/formats/safetensors.ts";
import { runExperiment } from "../../lib/sweep/run_experiment.ts";
import { readRun } from "../../lib/sweep/run_folder.ts";
import { tableMarkdown } from "../../lib/sweep/table_format.ts";
import { buildTable } from "../../lib/sweep/table.ts";
import { type Certificate, Verifier, writeCertificate } from "../../lib/sweep/verify.ts";
import { verifyMain } from "../../lib/sweep/verify_main.ts";
import { fixtureTest } from "../fixtures.ts";

const signal = new AbortController().signal;

/** A folder with data in one file, which is split, and a sweep on it: every kind of method. */
async function withRuns(methods: string, body: (folder: string, ids: string[]) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    const rows = Array.from(
      { length: 40 },
      (_, i) =>
        [`the ${["music", "play", "film"][i % 3]} is ${i % 2 ? "superb" : "dreadful"} ${i}`, i % 2]
          .join("\t"),
    );
    await Deno.writeTextFile(`${folder}/data.tsv`, `sentence\tlabel\n${rows.join("\n")}\n`);
    const { runs } = await runExperiment({
      data: `${folder}/data.tsv`,
      methods,
      split: 0.2,
      splitSeed: 3,
      settings: { epochs: 2, batchSize: 8 },
      out: `${folder}/runs`,
    });
    await body(folder, runs.map(({ id }) => id));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function verifyOne(folder: string, options: { base?: string; data?: string } = {}) {
  const verifier = new Verifier({ ...options, signal });
  try {
    return await verifier.verify(folder);
  } finally {
    verifier.close();
  }
}

/** What the command prints, and its exit code. */
async function command(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (text: string) => lines.push(...text.split("\n"));
  try {
    return { code: await verifyMain(args), lines };
  } finally {
    console.log = log;
  }
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const changed = change(text);
  assert(changed !== text, `nothing changed in ${path}`);
  await Deno.writeTextFile(path, changed);
}

const METHODS = "zero_shot head full soft_prompt:tokens=1 adapter:bottleneck=1 lora:rank=1";

Deno.test("verify passes on the kinds of cells of the default sweep, and the table shows it", () =>
  withRuns(METHODS, async (folder, ids) => {
    const { code, lines } = await command(`${folder}/runs`);
    assertEquals(code, 0, lines.join("\n"));
    assertEquals(lines.at(-1), "6 identical");
    for (const id of ids) {
      const text = await Deno.readTextFile(`${folder}/runs/${id}/verify.json`);
      const { verdict, digests, firstStep, tolerance } = JSON.parse(text) as Certificate;
      assertEquals([verdict, firstStep, tolerance], ["identical", null, null]);
      assert("result.json" in digests && "predictions.csv" in digests, text);
    }
    const runs = await Promise.all(ids.map((id) => readRun(`${folder}/runs/${id}`)));
    const table = tableMarkdown(buildTable(runs.map((run) => run!)));
    assertEquals(table.split("same bits").length - 1, 6, table);
    // A certificate is on one result: not on another that takes its place.
    await edit(`${folder}/runs/${ids[0]}/result.json`, (text) => text.replace("\n}", " \n}"));
    assertEquals((await readRun(`${folder}/runs/${ids[0]}`))!.verified, null);
    await Deno.remove(`${folder}/runs/${ids[1]}/local.json`);
    const lost = await command(`${folder}/runs/${ids[1]}`);
    assertEquals(lost.code, 1);
    assertStringIncludes(lost.lines.join("\n"), "name it with --base");
  }));

Deno.test("verify names what was tampered with, and the first step that differs", () =>
  withRuns("lora:rank=1", async (folder, [id]) => {
    const run = `${folder}/runs/${id}`;
    const stored = async () => {
      const losses = await (await readSafetensors(`${run}/losses.safetensors`)).read("loss");
      return [...losses];
    };
    assertEquals((await stored()).length, 8); // Batches of 8 from 32 examples, twice.

    // A row of data: of one word in it.
    const data = await Deno.readTextFile(`${folder}/data.tsv`);
    const first = await verifyOne(run);
    assertEquals(first.verdict, "identical");
    let named = 0;
    for (const row of ["is superb 21", "is dreadful 12"]) {
      await Deno.writeTextFile(`${folder}/data.tsv`, data.replace(row, row.replace("is", "was")));
      const other = await verifyOne(run);
      assertEquals(other.verdict, "different");
      assertStringIncludes(other.inputs.join(), "The data has digest");
      if (other.firstStep === null) continue; // That row is of the validation split.
      named++;
      assertStringIncludes(other.differences[0], `first differing step is ${other.firstStep} of 8`);
    }
    assert(named > 0, "both rows are validation examples");
    await Deno.writeTextFile(`${folder}/data.tsv`, data);

    // A trained weight, in its last bit.
    const delta = await Deno.readFile(`${run}/delta.safetensors`);
    const tampered = delta.slice();
    tampered[tampered.length - 4] ^= 1;
    await Deno.writeFile(`${run}/delta.safetensors`, tampered);
    const weight = await verifyOne(run);
    assertEquals([weight.verdict, weight.firstStep], ["different", null]);
    assertStringIncludes(
      weight.differences[0],
      "The weights after the last step differ, first in ",
    );
    assertStringIncludes(weight.differences[1], "losses of all 8 steps are the same");
    await Deno.writeFile(`${run}/delta.safetensors`, delta);

    // The loss of one step.
    const losses = Float32Array.from(await stored());
    losses[4] += 1e-3;
    const loss = new Map([["loss", { shape: [8], data: losses }]]);
    const bytes = new Uint8Array(await new Blob(encodeSafetensors(loss)).arrayBuffer());
    const whole = await Deno.readFile(`${run}/losses.safetensors`);
    await Deno.writeFile(`${run}/losses.safetensors`, bytes);
    assertEquals((await verifyOne(run)).firstStep, 5);
    await Deno.writeFile(`${run}/losses.safetensors`, whole);

    // A setting, a prediction and a metric.
    const description = await Deno.readTextFile(`${run}/run.json`);
    await edit(`${run}/run.json`, (text) => text.replace(/"seed": 0/, '"seed": 1'));
    assertEquals((await verifyOne(run)).firstStep, 1);
    await Deno.writeTextFile(`${run}/run.json`, description);
    const predictions = await Deno.readTextFile(`${run}/predictions.csv`);
    await edit(`${run}/predictions.csv`, (text) => text.replace(/,0\.(\d)/, ",0.9$1"));
    const predicted = await verifyOne(run);
    assertEquals(predicted.verdict, "different");
    assertStringIncludes(
      predicted.differences.join("; "),
      "predictions.csv differs, first in line",
    );
    await Deno.writeTextFile(`${run}/predictions.csv`, predictions);

    assertEquals((await verifyOne(run)).verdict, "identical");
  }));

/** A kernel of the family in another class: it sums from the end. */
function backwards(signature: MatmulSignature): Kernel {
  const naive = matmulNaive(signature);
  const forwards = "for (var k = 0u; k < p.k; k++) {";
  return kernel({
    ...naive,
    name: "matmul_backwards",
    body: (tune) => {
      const body = naive.body(tune);
      assert(body.includes(forwards), body);
      return body.replace(forwards, "for (var l = 0u; l < p.k; l++) { let k = p.k - 1u - l;");
    },
  });
}

Deno.test("verify tells another kernel choice, and the first step that differs if one does", () =>
  withRuns("lora:rank=1", async (folder, [id]) => {
    const run = `${folder}/runs/${id}`;
    const description = await Deno.readTextFile(`${run}/run.json`);
    const { kernels } = JSON.parse(description) as { kernels: Record<string, string> };
    assert(Object.keys(kernels).length > 10);
    /** Verifies with another choice for some sizes. */
    const verifyWith = async (sizes: readonly string[], name: string | undefined) => {
      const changed = { ...kernels, ...Object.fromEntries(sizes.map((size) => [size, name])) };
      const text = JSON.stringify({ ...JSON.parse(description), kernels: changed });
      await Deno.writeTextFile(`${run}/run.json`, text);
      return await verifyOne(run);
    };
    const products = Object.keys(kernels).filter((key) => key.startsWith("matmul "));
    const [size] = products;
    const same = "No step differs: the losses of all 8 steps are the same";

    // Of one class: other work, the same sums.
    const naive = await verifyWith([size], "matmul_naive");
    assertEquals([naive.verdict, naive.firstStep], ["different", null]);
    assertEquals(naive.differences, [same]);
    assertStringIncludes(
      naive.inputs.join(),
      `for ${size} it says matmul_naive, the run took ${kernels[size]}`,
    );
    assertMatch(naive.inputs.join(), /^The kernel choices in run.json have digest [0-9a-f]{12}, /);
    const none = await verifyWith([size], undefined); // Left out: the rule's choice is taken.
    assertEquals([none.verdict, none.differences], ["different", [same]]);
    assertStringIncludes(none.inputs.join(), `it says nothing, the run took ${kernels[size]}`);

    // One that does not run here.
    const unknown = await assertRejects(() => verifyWith([size], "matmul_fastest"), RangeError);
    assertStringIncludes(unknown.message, "Cannot run kernel matmul_fastest for matmul");

    // Of another class: other sums, from the first step at which it runs on.
    for (const family of new Set(products.map((key) => key.split(" ")[1]))) {
      const signature = JSON.parse(family) as MatmulSignature;
      matmulVariants(signature).push(backwards(signature));
    }
    const all = await verifyWith(products, "matmul_backwards");
    assertEquals(all.verdict, "different");
    // The first loss is one f32, to which both orders may round.
    const { firstStep } = all;
    assert(firstStep === 1 || firstStep === 2, `${firstStep}`);
    const first = `The first differing step is ${firstStep} of 8: its loss was `;
    assertStringIncludes(all.differences[0], first);
    assertStringIncludes(all.inputs.join(), `, and ${products.length - 1} more`);
    assert(!all.differences.includes(same));
    // Of the products that the first step's loss does not rest on, the backward ones, alone.
    const backward = Object.keys(kernels).filter((key) => key.includes('"accumulate":true'));
    assert(backward.length > 0);
    const later = await verifyWith(backward, "matmul_backwards");
    assertEquals(later.verdict, "different");
    assert(later.firstStep !== null && later.firstStep > 1, `${later.firstStep}`);
    assertStringIncludes(later.differences[0], `first differing step is ${later.firstStep} of 8`);

    await Deno.writeTextFile(`${run}/run.json`, description);
    assertEquals((await verifyOne(run)).verdict, "identical");
  }));

fixtureTest(
  "a base with one other weight is told, with the first step that differs",
  async (from) => {
    const folder = await Deno.makeTempDir();
    try {
      const base = `${folder}/base`;
      await Deno.mkdir(base);
      for await (const { name } of Deno.readDir(`${from}/data/stories260K-hf`)) {
        await Deno.copyFile(`${from}/data/stories260K-hf/${name}`, `${base}/${name}`);
      }
      const rows = Array.from(
        { length: 24 },
        (_, i) => `it is ${i % 2 ? "good" : "bad"}\t${i % 2}`,
      );
      await Deno.writeTextFile(`${folder}/data.tsv`, `sentence\tlabel\n${rows.join("\n")}\n`);
      const { runs: [{ id }] } = await runExperiment({
        base,
        data: `${folder}/data.tsv`,
        methods: "lora:rank=1",
        settings: { epochs: 1, batchSize: 8 },
        out: `${folder}/runs`,
      });
      const run = `${folder}/runs/${id}`;
      assertEquals((await verifyOne(run)).verdict, "identical");
      const weights = `${base}/model.safetensors`;
      const file = await readSafetensors(weights);
      const { begin } = file.info("model.layers.0.mlp.down_proj.weight");
      const bytes = await Deno.readFile(weights);
      const view = new DataView(bytes.buffer);
      view.setFloat32(begin, view.getFloat32(begin, true) + 1, true);
      await Deno.writeFile(weights, bytes);
      const other = await verifyOne(run);
      assertEquals([other.verdict, other.firstStep], ["different", 1]);
      assertStringIncludes(other.inputs.join(), "The base has digest");
      assertStringIncludes(other.differences[0], "The first differing step is 1 of ");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("where the fingerprint is another one, verify says so and compares within a tolerance", () =>
  withRuns("lora:rank=1", async (folder, [id]) => {
    const run = `${folder}/runs/${id}`;
    await edit(
      `${run}/run.json`,
      (text) => text.replace(/"probe": "[0-9a-f]{4}/, '"probe": "0000'),
    );
    const same = await verifyOne(run);
    assertEquals(same.verdict, "identical"); // It is, though nothing promised it.
    assertStringIncludes(same.surroundings.join(), "The numerics fingerprint was 0000");
    assert(same.tolerance !== null);
    const losses = Float32Array.from(
      await (await readSafetensors(`${run}/losses.safetensors`)).read("loss"),
    );
    losses[2] *= 1 + 1e-6;
    const file = encodeSafetensors(new Map([["loss", { shape: [8], data: losses }]]));
    await Deno.writeFile(
      `${run}/losses.safetensors`,
      new Uint8Array(await new Blob(file).arrayBuffer()),
    );
    const near = await verifyOne(run);
    assertEquals([near.verdict, near.firstStep], ["within tolerance", 3]);
    await edit(`${run}/metrics.jsonl`, (text) => text.replace(/"trainLoss":/, '"trainLoss":9'));
    const far = await verifyOne(run);
    assertEquals(far.verdict, "different");
    assertStringIncludes(far.differences.join("; "), "Beyond the tolerance: loss of epoch 1");
    await writeCertificate(run, far);
    assertEquals((await readRun(run))!.verified, "different");
  }));
