import type { Cell } from "./cell.ts";

/** Items of several lists in turn: the first of each, then the second of each, and so on. */
export function takeTurns<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from(
    { length: longest },
    (_, turn) => lists.flatMap((list) => turn < list.length ? [list[turn]] : []),
  ).flat();
}

/** Cells in an order that serves every method (by name) as often as the others, while it has any. */
export function inTurns(cells: readonly Cell[]): Cell[] {
  return takeTurns([...Map.groupBy(cells, ({ method }) => method.name).values()]);
}
