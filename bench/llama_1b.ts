/**
 * `deno task bench llama-1b [DIR]`: a checkpoint of Llama-3.2-1B's exact shape, written to
 * DIR (`.cache/llama-1b`) unless it is there, then opened, planned, loaded, put through one forward
 * pass, and its head trained on kept features. Each part runs in a process of its own, so that each
 * peak of memory is its own.
 *
 * @module
 */

import process from "node:process";
import { EMBEDDED_PROMPT, embeddedDataset } from "../lib/data/embedded/dataset.ts";
import { isFile } from "../lib/formats/huggingface.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { Session } from "../lib/gpu/session.ts";
import { type Precision, storagePolicy } from "../lib/graph/precision.ts";
import { knownConfigs } from "../lib/models/known_configs.ts";
import { methods } from "../lib/peft/index.ts";
import { attachMethod, fullPrecisionNames } from "../lib/peft/method.ts";
import { type Base, openBase } from "../lib/sweep/base.ts";
import { fillIn } from "../lib/train/fill_in.ts";
import { initialValues } from "../lib/train/initialize.ts";
import { planScoring, scoreSplit } from "../lib/train/scoring.ts";
import { trainSettings } from "../lib/train/settings.ts";
import { type Encoded, makeTask } from "../lib/train/task.ts";
import { train } from "../lib/train/trainer.ts";
import { formatTable, type Row, saveRows, versions } from "./report.ts";
import { writeCheckpoint } from "./synthetic_checkpoint.ts";

const DIR = ".cache/llama-1b";
const CONFIG = knownConfigs["Llama-3.2-1B"];
const PARAMETERS = 1_235_814_400;
const TOKENS = 16;
const SENTENCES = 8;
const EPOCHS = 2;

type Part = (dir: string, precision: Precision) => Promise<Row>;

const PARTS: Readonly<Record<string, Part>> = { write, open, forward, head };

async function write(dir: string): Promise<Row> {
  const took = stopwatch();
  const { parameters, bytes, shards } = await writeCheckpoint(dir, CONFIG, {
    seed: 0,
    shardBytes: 600e6,
  });
  if (parameters !== PARAMETERS) {
    throw new Error(`Wrote ${parameters} parameters, Llama-3.2-1B has ${PARAMETERS}`);
  }
  const seconds = took();
  return { shards: shards.length, parameters, bytes, s: seconds, "GB/s": bytes / seconds / 1e9 };
}

/** Headers, tokenizer and the SHA-256 over all shards. */
async function open(dir: string): Promise<Row> {
  const took = stopwatch();
  const base = await openBase(dir);
  const seconds = took();
  base.check(2, false);
  return { digest: base.digest.slice(0, 16), s: seconds };
}

/** One sentence through the classification head, step by step. */
async function forward(dir: string, precision: Precision): Promise<Row> {
  const base = await openBase(dir);
  const { model, attached, task } = attach(base, "zero_shot");
  const examples = sentences(base, 1);
  const [{ ids: { length: T } }] = examples;
  const gpu = await openGpu();
  const session = new Session(gpu, storagePolicy(precision, fullPrecisionNames(attached)));
  try {
    const took = stopwatch();
    const scoring = planScoring(session, task, task.scores(), { rows: 1, cells: 1 }, [T]);
    const { total } = session.memory();
    const planSeconds = took();
    await session.build();
    const buildSeconds = took();
    const weights = await base.weights(2, false);
    for (const parameter of model.scope.select()) {
      const { name } = parameter;
      if (weights.has(name)) await fillIn(session, name, weights);
      else session.upload(name, initialValues(parameter, 0, weights));
    }
    await session.wait();
    const loadSeconds = took();
    const split = { examples, batches: [{ indices: [0], bucketLength: T }] };
    const [[first]] = await scoreSplit(session, scoring, split);
    const firstSeconds = took();
    await scoreSplit(session, scoring, split);
    const secondSeconds = took();
    if (!first.every(Number.isFinite)) throw new Error(`The scores are ${first}`);
    return {
      adapter: gpu.adapter.description,
      tokens: T,
      "planned bytes": total,
      "s, plan": planSeconds,
      "s, compile": buildSeconds,
      "s, load": loadSeconds,
      "s, forward": firstSeconds,
      "s, again": secondSeconds,
      scores: first.map((score) => score.toPrecision(5)).join(" "),
    };
  } finally {
    session.destroy();
    gpu.destroy();
  }
}

/** The head on features that are computed once for each sentence, beside the untrained head. */
async function head(dir: string, precision: Precision): Promise<Row> {
  const base = await openBase(dir);
  const examples = sentences(base, 2 * SENTENCES);
  const row: Record<string, string | number> = { sentences: SENTENCES, tokens: TOKENS };
  const gpu = await openGpu();
  try {
    for (const name of ["zero_shot", "head"]) {
      const { model, attached, task } = attach(base, name);
      const took = stopwatch();
      const epochs: { seconds: number; loss: number }[] = [];
      const { memory } = await train({
        ...{ gpu, model, attached, task, precision, seed: 0 },
        weights: await base.weights(2, name === "head"),
        settings: trainSettings({ learningRate: 1e-3, epochs: EPOCHS, batchSize: SENTENCES }),
        train: examples.slice(0, SENTENCES),
        validation: examples.slice(SENTENCES),
        onEpoch: ({ losses }) => void epochs.push({ seconds: took(), loss: losses[0] }),
      });
      row[`${name}: planned bytes`] = memory.total;
      row[`${name}: kept bytes`] = memory.byRole.kept;
      epochs.forEach(({ seconds, loss }, i) => {
        row[`${name}: s, ${i === 0 ? "load and epoch 1" : `epoch ${i + 1}`}`] = seconds;
        if (loss !== undefined) row[`${name}: loss ${i + 1}`] = loss;
      });
    }
    return { adapter: gpu.adapter.description, ...row };
  } finally {
    gpu.destroy();
  }
}

function attach(base: Base, name: string) {
  const method = methods[name];
  const model = base.build(2, name === "head");
  const attached = attachMethod(model, method, method.parse({}));
  return { model, attached, task: makeTask(model, base.tokenizer.padId, null) };
}

function sentences({ tokenizer }: Base, count: number): Encoded[] {
  return embeddedDataset(0).train.slice(0, count).map(({ text, label }) => (
    { ids: tokenizer.encode(EMBEDDED_PROMPT + text, TOKENS), label }
  ));
}

/** Seconds since it was last asked. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const since = last;
    last = performance.now();
    return (last - since) / 1000;
  };
}

/** One part, in this process; its line goes to the standard output. */
async function runPart(name: string, dir: string, precision: Precision): Promise<void> {
  const before = Deno.memoryUsage().rss;
  const row = await PARTS[name](dir, precision);
  // Linux gives KiB (getrusage(2)).
  const peak = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ ...row, "RSS before": before, "peak RSS": peak }));
}

/**
 * Writes the checkpoint where it is not there yet, measures every part in a process of its own, prints
 * and saves the figures.
 *
 * @param dir Folder of the checkpoint; 2.5 GB.
 * @returns The exit status.
 */
export async function benchLlama1b(dir: string = DIR): Promise<number> {
  await Deno.mkdir(dir, { recursive: true });
  const written = await isFile(`${dir}/model.safetensors.index.json`);
  const rows: Row[] = [];
  for (
    const [part, precision] of [
      ...written ? [] : [["write", "f32"]],
      ["open", "f32"],
      ["forward", "f32"],
      ["forward", "f16"],
      ["head", "f32"],
    ]
  ) {
    console.error(`${part}, ${precision}`);
    const { code, stdout } = await new Deno.Command("deno", {
      args: ["run", "-q", "--no-prompt", "-P=bench", "bench/llama_1b.ts", part, dir, precision],
      stderr: "inherit",
    }).output();
    if (code !== 0) return code;
    const row: Row = { part, precision, ...JSON.parse(new TextDecoder().decode(stdout)) };
    console.log(
      formatTable(Object.entries(row).map(([figure, value]) => ({ figure, value }))) + "\n",
    );
    rows.push(row);
  }
  console.log(`Saved ${await saveRows("llama-1b", versions(), rows)}`);
  return 0;
}

if (import.meta.main) {
  const [part, dir, precision] = Deno.args;
  await runPart(part, dir, precision as Precision);
}
