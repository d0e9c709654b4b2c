/** Runs that were never run: what a report is made from, in any number. */
import { Random } from "../../lib/data/random.ts";
import type { ReportRun, ReportRuns } from "../../lib/report/read_runs.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import type { Cell } from "../../lib/sweep/cell.ts";
import type { EpochMetrics } from "../../lib/sweep/run_cell.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { classificationMetrics } from "../../lib/train/metrics.ts";
import { registry } from "../sweep/fake_sweep.ts";

const EPOCHS = 5;

/** A run of a cell that gets some of its examples right, the easy ones more often. */
export function syntheticRun(cell: Cell, examples: number): ReportRun {
  const id = cellId(cell);
  const random = new Random(Number.parseInt(id.slice(0, 8), 16), "synthetic");
  const approach = registry[cell.method.name].label(cell.method.options);
  const skill = random.uniform(0.7, 0.95);
  const labels = Array.from({ length: examples }, (_, i) => i % 2);
  const epochs = Array.from({ length: EPOCHS }, (_, i): EpochMetrics & { guesses: number[] } => {
    const share = 0.5 + (skill - 0.5) * (1 - 0.5 ** (i + 1));
    const guesses = labels.map((label, k) =>
      random.uniform(0, 1) < share - 0.1 * (k % 7 === 0 ? 4 : 0) ? label : 1 - label
    );
    return {
      epoch: i + 1,
      trainLoss: 0.7 * 0.8 ** i + random.uniform(0, 0.05),
      evalLoss: 0.7 * 0.85 ** i + random.uniform(0, 0.05),
      ...classificationMetrics(labels, guesses, 2),
      guesses,
    };
  });
  const { guesses, ...last } = epochs.at(-1)!;
  const metrics = epochs.map(({ guesses: _, ...rest }) => rest);
  const option = Number(Object.values(cell.method.options)[0] ?? 1);
  const seconds = random.uniform(20, 60);
  return {
    id,
    approach,
    cell,
    error: null,
    published: null,
    epochs: metrics,
    wrong: {
      validation: guesses.flatMap((guess, i) => guess === labels[i] ? [] : [String(i)]),
    },
    description: { id, approach, cell, environment: environment(null) },
    result: {
      id,
      examples,
      best: metrics.reduce((best, one) => one.accuracy > best.accuracy ? one : best),
      last,
      kept: last,
      stoppedEarly: false,
      head: "seeded",
      note: null,
      splits: {},
      parameters: { total: 60_000_000, trainable: option * 4096 },
      planned: {
        peakBytes: 3e8,
        weights: 2e8,
        trainable: option * 16384,
        optimizer: option * 49152,
        activations: 1e8,
        recomputed: false,
        operations: 1e12 + option * 1e9,
      },
    },
    times: { msPerStep: seconds * 2, examplesPerSecond: 1600 / seconds, seconds },
  };
}

/** What a report on synthetic runs is made from. */
export function syntheticRuns(cells: readonly Cell[], examples: number): ReportRuns {
  const labels = new Map(Array.from({ length: examples }, (_, i) => [String(i), String(i % 2)]));
  return {
    runs: cells.map((cell) => syntheticRun(cell, examples)),
    record: null,
    labels: new Map([[cells[0].data.digest, labels]]),
  };
}
