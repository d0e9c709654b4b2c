import { Random } from "../data/random.ts";
import { digestJson } from "../formats/digest.ts";
import type { Cell } from "./cell.ts";
import { takeTurns } from "./take_turns.ts";

/**
 * Draws some of a grid's configurations at random, each with all its seeds: as many of every method
 * (by name) as of the others, while it has any (random search: Bergstra and Bengio, JMLR 13, 2012).
 *
 * @param count Configurations to keep; all where the grid has no more
 * @param seed Decides which
 * @returns Their cells, in the order of the grid
 */
export function sampleCells(cells: readonly Cell[], count: number, seed: number): Cell[] {
  const configurations = [
    ...Map.groupBy(cells, ({ seed: _, ...rest }) => digestJson(rest)).values(),
  ];
  const methods = Map.groupBy(configurations, ([{ method }]) => method.name);
  const drawn = [...methods].map(([name, own]) => new Random(seed, "sample", name).shuffle(own));
  const kept = new Set(takeTurns(drawn).slice(0, count).flat());
  return cells.filter((cell) => kept.has(cell));
}
