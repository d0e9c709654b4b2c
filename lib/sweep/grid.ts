import {
  defaultTrainSettings,
  methodLearningRate,
  type TrainSettings,
  trainSettings,
} from "../train/settings.ts";
import { type Cell, cellId, NUMERICS_VERSION } from "./cell.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import { planHalving } from "./halving.ts";
import type { MethodRequest } from "./method_spec.ts";
import { sampleCells } from "./sample_cells.ts";

/** The part of a cell that all cells of one experiment share, known once base and data are read. */
export type CellContext = Pick<
  Cell,
  "base" | "tokenizer" | "data" | "task" | "start" | "evalBackend"
>;

/**
 * The cells of an experiment, in the order of its methods, then of its axes (the last varying
 * fastest), then of its seeds; a cell that comes up twice stands once. What a method is given
 * itself goes before the experiment's axes, and these before its settings. Where the experiment
 * samples, only the cells drawn.
 *
 * @throws {RangeError} When a setting's value breaks its rule, or the cells cannot be halved
 */
export function expandGrid(experiment: ResolvedExperiment, context: CellContext): Cell[] {
  const cells = new Map<string, Cell>();
  for (const request of experiment.methods) {
    for (const settings of methodSettings(request, experiment)) {
      for (const seed of experiment.seeds) {
        const cell: Cell = {
          version: NUMERICS_VERSION,
          ...context,
          method: { name: request.name, options: request.options },
          settings,
          seed,
          precision: experiment.precision,
        };
        const id = cellId(cell);
        if (!cells.has(id)) cells.set(id, cell);
      }
    }
  }
  const { sample, sampleSeed, halving, choose } = experiment;
  const all = [...cells.values()];
  const taken = sample === null ? all : sampleCells(all, sample, sampleSeed);
  if (halving !== null) planHalving(taken, { eta: halving, choose }); // refused before anything runs
  return taken;
}

function methodSettings(
  request: MethodRequest,
  experiment: ResolvedExperiment,
): TrainSettings[] {
  const learningRate = methodLearningRateOrNone(request, experiment);
  if (learningRate === null) {
    // Settings of training must not make several cells of a method that trains nothing; of its
    // batches only the rows on the device matter.
    const { microBatch, maxLength, ...rest } = { ...defaultTrainSettings, ...experiment.settings };
    const batchSize = microBatch ?? rest.batchSize;
    return [{ ...defaultTrainSettings, batchSize, maxLength, learningRate: 0, epochs: 0 }];
  }
  let grid: Partial<TrainSettings>[] = [{ ...experiment.settings }];
  for (const [key, values] of Object.entries(experiment.axes)) {
    grid = grid.flatMap((point) => values.map((value) => ({ ...point, [key]: value })));
  }
  return grid.map((point) => trainSettings({ learningRate, ...point, ...request.settings }));
}

/** A method without a default takes the rate that it, the axes or the settings give. */
function methodLearningRateOrNone(
  { name, options, settings }: MethodRequest,
  experiment: ResolvedExperiment,
): number | null {
  if (name === "zero_shot") return null;
  return settings?.learningRate ?? experiment.axes.learningRate?.[0] ??
    experiment.settings.learningRate ?? methodLearningRate(name, options);
}
