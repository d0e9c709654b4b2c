/**
 * Successive halving: all settings of a method train some epochs, the best share of them goes on, and
 * so on to the last epoch.
 *
 * Source: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
 * Optimization, AISTATS 2016; the share 1/η as in Li et al., Hyperband, JMLR 18, 2018.
 *
 * @module
 */

import { digestJson } from "../formats/digest.ts";
import { EpochWatch } from "../train/epoch_watch.ts";
import type { Cell } from "./cell.ts";
import { familyKey } from "./choose_settings.ts";
import type { MethodSpec } from "./method_spec.ts";
import type { EpochMetrics } from "./run_cell.ts";

/** What halving goes by. */
export interface Halving {
  /** At every rung, one of so many settings goes on. */
  readonly eta: number;
  /** What makes settings of one method: see `chooseSettings`. */
  readonly choose: readonly string[];
}

/** Where the settings of one method are compared. */
export interface Rung {
  /** After which epoch. */
  readonly epoch: number;
  /** How many settings go on. */
  readonly keeps: number;
}

/** The settings that compete: those of one method, which differ in what is chosen alone. */
export interface Bracket {
  /** Cells of each setting, which differ in the seed alone. */
  readonly settings: readonly (readonly Cell[])[];
  /** First to last; empty where all train to their end. */
  readonly rungs: readonly Rung[];
}

/**
 * The rungs of some settings: after ⌈epochs/η^k⌉ epochs for k down to 1, as many as leave one setting,
 * or as there are; at each, one of η settings goes on (rounded down, at least one).
 */
export function rungsOf(epochs: number, settings: number, eta: number): Rung[] {
  const fewer = (count: number): number => Math.max(1, Math.floor(count / eta));
  let halvings = 0;
  for (let left = settings; left > 1; left = fewer(left)) halvings++;
  const places = Array.from({ length: halvings }, (_, k) => Math.ceil(epochs / eta ** (k + 1)));
  const distinct = [...new Set(places)].filter((epoch) => epoch > 0 && epoch < epochs).reverse();
  let left = settings;
  return distinct.map((epoch) => ({ epoch, keeps: left = fewer(left) }));
}

/**
 * Groups cells into brackets.
 *
 * @throws {RangeError} Where there is nothing to halve, or settings of one method cannot be compared
 */
export function planHalving(cells: readonly Cell[], { eta, choose }: Halving): Bracket[] {
  const families = Map.groupBy(cells, (cell) => familyKey(cell, choose));
  const brackets = [...families.values()].map((own): Bracket => {
    for (const key of ["epochs", "metric", "keep"] as const) {
      const values = [...new Set(own.map(({ settings }) => settings[key]))];
      if (values.length === 1) continue;
      throw new RangeError(
        `Cannot halve ${own[0].method.name}: all its settings must have the same ${key}, found ` +
          `${values.join(" and ")}; leave it out of --choose`,
      );
    }
    const settings = [
      ...Map.groupBy(own, ({ seed: _, ...setting }) => digestJson(setting)).values(),
    ];
    return { settings, rungs: rungsOf(own[0].settings.epochs, settings.length, eta) };
  });
  if (brackets.some(({ rungs }) => rungs.length > 0)) return brackets;
  if (brackets.every(({ settings }) => settings.length === 1)) {
    throw new RangeError(
      `Cannot halve: no method has two settings that --choose ${
        choose.join(",") || "none"
      } chooses ` +
        "between; give several values, or name by --choose what is chosen, as in --choose lr,rank",
    );
  }
  const most = Math.max(...cells.map(({ settings }) => settings.epochs));
  throw new RangeError(
    `Cannot halve runs of ${most} epoch: they must have two at least; raise --epochs`,
  );
}

/**
 * What a run is compared by at a rung, higher is better: its validation metric (`--metric`) after that
 * epoch; where the best epoch is kept, that of its best so far. Of one whose patience was at its end
 * before, that of its end.
 *
 * @returns Null where it has no finite value.
 */
export function rungScore(
  { settings }: Pick<Cell, "settings">,
  epochs: readonly EpochMetrics[],
  rung: number,
): number | null {
  const seen = epochs.filter(({ epoch }) => epoch <= rung);
  const watch = new EpochWatch<EpochMetrics>(settings);
  for (const epoch of seen) watch.next(epoch);
  const kept = settings.keep === "best" ? watch.best : seen.at(-1);
  if (!kept) return null;
  const { accuracy, f1, evalLoss } = kept;
  const value = { accuracy, f1, loss: evalLoss }[settings.metric];
  if (!Number.isFinite(value)) return null; // JSON's null, too
  return settings.metric === "loss" ? -value : value;
}

/** A setting's place at a rung. */
export interface Place {
  /** Counted from 1. */
  readonly rank: number;
  /** Mean score over the seeds that have one; null where none has. */
  readonly mean: number | null;
  /** Whether it goes on. */
  readonly goesOn: boolean;
}

/**
 * Ranks settings by their mean score over the seeds; one with fewer scores than another comes after
 * it, and of equals the first stays first.
 *
 * @param scores Of each setting: the score of each seed, null where its run failed.
 * @param keeps How many go on; one without any score never does.
 */
export function rankSettings(
  scores: readonly (readonly (number | null)[])[],
  keeps: number,
): Place[] {
  const known = scores.map((own, index) => {
    const values = own.filter((score) => score !== null);
    const mean = values.length === 0
      ? null
      : values.reduce((sum, value) => sum + value, 0) / values.length;
    return { index, count: values.length, mean };
  });
  const places: Place[] = [];
  known.toSorted((a, b) => b.count - a.count || (b.mean ?? 0) - (a.mean ?? 0) || a.index - b.index)
    .forEach(({ index, mean }, i) => {
      places[index] = { rank: i + 1, mean, goesOn: i < keeps && mean !== null };
    });
  return places;
}

/** What a bracket is called: as all its cells are, else by its method. */
export function bracketName({ settings }: Bracket, label: (method: MethodSpec) => string): string {
  const labels = new Set(settings.map(([{ method }]) => label(method)));
  const [[{ method }]] = settings;
  return labels.size === 1 ? label(method) : method.name;
}

/** What will train how long, in words. */
export function halvingText(
  brackets: readonly Bracket[],
  eta: number,
  label: (method: MethodSpec) => string,
): string {
  let [halved, whole] = [0, 0];
  const plans = brackets.flatMap((bracket) => {
    const { settings, rungs } = bracket;
    const { epochs } = settings[0][0].settings;
    const seeds = settings[0].length;
    whole += settings.length * seeds * epochs;
    let [before, left] = [0, settings.length];
    const stages: string[] = [];
    for (const { epoch, keeps } of [...rungs, { epoch: epochs, keeps: 0 }]) {
      halved += left * seeds * (epoch - before);
      stages.push(`${left}${stages.length === 0 ? " settings" : ""} to epoch ${epoch}`);
      [before, left] = [epoch, keeps];
    }
    return rungs.length === 0
      ? []
      : [{ name: bracketName(bracket, label), stages: stages.join(", ") }];
  });
  const alike = [...Map.groupBy(plans, ({ stages }) => stages)]
    .map(([stages, own]) => `${stages} (${own.map(({ name }) => name).join("; ")})`);
  return `Halving by ${eta}: ${alike.join("; ")}; at most ${halved} epochs instead of ${whole}`;
}
