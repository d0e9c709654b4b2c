/** A sweep small enough for tests: two methods, and logistic regression in place of a model. */
import type { Cell } from "../../lib/sweep/cell.ts";
import { Random } from "../../lib/data/random.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { type Experiment, resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import { type CellContext, expandGrid } from "../../lib/sweep/grid.ts";
import type { MethodOptions } from "../../lib/peft/method.ts";
import type { MethodInfo, MethodRegistry } from "../../lib/sweep/method_spec.ts";
import type { EpochMetrics, RunCell } from "../../lib/sweep/run_cell.ts";
import type { Outcome, SweepOptions } from "../../lib/sweep/runner.ts";
import { Paused } from "../../lib/train/paused.ts";
import { classificationMetrics } from "../../lib/train/metrics.ts";

function method(name: string, defaults: MethodOptions): MethodInfo {
  return {
    name,
    defaults,
    parse(options) {
      for (const [key, value] of Object.entries(options)) {
        if (!Object.hasOwn(defaults, key)) {
          const valid = Object.keys(defaults).join(", ") || "none";
          throw new TypeError(`Cannot use option ${key} of ${name}: no such option; use ${valid}`);
        }
        if (!Number.isSafeInteger(value) || (value as number) < 1) {
          throw new RangeError(`Cannot use ${key} ${value} of ${name}: must be at least 1`);
        }
      }
      return { ...defaults, ...options };
    },
    label(options) {
      return [name, ...Object.entries(options).map(([k, v]) => `${k} ${v}`)].join(" ");
    },
  };
}

export const registry: MethodRegistry = {
  zero_shot: method("zero_shot", {}),
  full: method("full", {}),
  lora: method("lora", { rank: 8 }),
  soft_prompt: method("soft_prompt", { tokens: 10 }),
};

export const context: CellContext = {
  base: { name: "tiny", digest: "b".repeat(64) },
  tokenizer: { digest: "t".repeat(64) },
  data: {
    name: "points",
    digest: "d".repeat(64),
    trainSize: null,
    splits: "files",
    dedupe: false,
    evaluate: [],
    columns: { text: "sentence", label: "label" },
  },
  task: { head: false, prefix: "", labelWords: ["negative", "positive"], labels: ["0", "1"] },
};

/** Cells of an experiment over the fake methods. */
export function cells(partial: Partial<Experiment> & Pick<Experiment, "methods">): Cell[] {
  return expandGrid(resolveExperiment(sweep(partial), registry), context);
}

/** Trains p = σ(w·x) on points labelled by the sign of their sum, one step for each point. */
export const runCell: RunCell = async (cell, { onStep, onEpoch, signal, pauseAfter }) => {
  const random = new Random(cell.seed, "points");
  const points = Array.from({ length: 60 }, () => {
    const x = [random.uniform(-1, 1), random.uniform(-1, 1)];
    return { x, label: x[0] + x[1] + random.uniform(-0.15, 0.15) > 0 ? 1 : 0 };
  });
  const train = points.slice(0, 40);
  const test = points.slice(40);
  const w = [random.uniform(-0.5, 0.5), random.uniform(-0.5, 0.5)];
  const p = (x: number[]): number => 1 / (1 + Math.exp(-(w[0] * x[0] + w[1] * x[1])));
  const loss = (q: number, label: number): number => -Math.log(label === 1 ? q : 1 - q);
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const start = performance.now();
  const measure = (epoch: number, trainLoss: number | null): EpochMetrics => {
    const metrics = classificationMetrics(
      test.map(({ label }) => label),
      test.map(({ x }) => p(x) > 0.5 ? 1 : 0),
      2,
    );
    return {
      epoch,
      trainLoss,
      evalLoss: mean(test.map(({ x, label }) => loss(p(x), label))),
      ...metrics,
    };
  };
  const epochs: EpochMetrics[] = [];
  const { learningRate } = cell.settings;
  const steps = train.length * cell.settings.epochs;
  for (let epoch = 1; epoch <= cell.settings.epochs; epoch++) {
    const losses = train.map(({ x, label }, i) => {
      const error = p(x) - label;
      const now = loss(p(x), label);
      w[0] -= learningRate * error * x[0];
      w[1] -= learningRate * error * x[1];
      const step = (epoch - 1) * train.length + i + 1;
      onStep({ epoch, epochs: cell.settings.epochs, step, steps, loss: now, stepsPerSecond: 100 });
      return now;
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal.throwIfAborted();
    epochs.push(measure(epoch, mean(losses)));
    onEpoch(epochs.at(-1)!);
    if (epoch === pauseAfter && epoch < cell.settings.epochs) throw new Paused(epoch);
  }
  if (epochs.length === 0) {
    epochs.push(measure(0, null));
    onEpoch(epochs[0]);
  }
  const seconds = (performance.now() - start) / 1000;
  const trained = steps > 0;
  return {
    epochs,
    best: epochs.reduce((best, now) => now.accuracy > best.accuracy ? now : best),
    last: epochs.at(-1)!,
    kept: epochs.at(-1)!,
    stoppedEarly: false,
    head: "seeded",
    splits: {},
    parameters: { total: 2, trainable: trained ? 2 : 0 },
    planned: {
      peakBytes: 1024,
      weights: 16,
      trainable: 16,
      optimizer: 32,
      activations: 960,
      recomputed: false,
    },
    predictions: test.map(({ x, label }, id) => ({
      id,
      label,
      prediction: p(x) > 0.5 ? 1 : 0,
      scores: [1 - p(x), p(x)],
    })),
    times: {
      msPerStep: trained ? 1000 * seconds / steps : null,
      examplesPerSecond: trained ? steps / seconds : null,
      seconds,
    },
  };
};

/** Options of runSweep() with a reporter that keeps the outcomes. */
export function options(
  out: string,
  signal: AbortSignal = new AbortController().signal,
): SweepOptions & { outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  return {
    out,
    label: ({ name, options }) => registry[name].label(options),
    environment: environment(null),
    signal,
    outcomes,
    reporter: {
      start() {},
      step() {},
      epoch() {},
      end(_, outcome) {
        outcomes.push(outcome);
        return Promise.resolve();
      },
    },
  };
}

/** Every file under a folder with its text, by path from there. */
export async function files(folder: string, under = ""): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const entry of Deno.readDir(`${folder}/${under}`)) {
    const path = under + entry.name;
    if (entry.isDirectory) Object.assign(found, await files(folder, `${path}/`));
    else found[path] = await Deno.readTextFile(`${folder}/${path}`);
  }
  return found;
}

/** Runs a test with a folder of its own. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
