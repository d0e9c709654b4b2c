/**
 * Labels beside their points, where nothing else stands.
 *
 * @module
 */

/** A point that a label may name; all in pixels, y downwards. */
export interface LabelledPoint {
  /** The label. */
  readonly text: string;
  /** Across. */
  readonly x: number;
  /** Down. */
  readonly y: number;
  /** Upper end of its interval. */
  readonly top: number;
  /** Lower end of its interval. */
  readonly bottom: number;
  /** Of the label. */
  readonly color: string;
}

/** Where a label stands. */
export interface PlacedLabel {
  /** The label. */
  readonly text: string;
  /** Across: where the text begins, has its middle, or ends, by its anchor. */
  readonly x: number;
  /** Down: the text's baseline. */
  readonly y: number;
  /** What of the text stands at x. */
  readonly anchor: "start" | "middle" | "end";
  /** Of the label. */
  readonly color: string;
}

/** A rectangle, in pixels, y downwards. */
export interface Box {
  /** Its left edge. */
  readonly left: number;
  /** Its right edge. */
  readonly right: number;
  /** Its upper edge. */
  readonly top: number;
  /** Its lower edge. */
  readonly bottom: number;
}

/** Width of a letter as a share of the font's size, on average, of sans-serif fonts. */
const LETTER = 0.56;

/** Half of a point's size. */
const POINT = 7;

const apart = (a: Box, b: Box): boolean =>
  a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top;

/**
 * Places labels one after the other, each beside, above or below its point; one that would cover a
 * point, an interval or another label is left out.
 *
 * @param points In the order of their labels' importance
 * @param frame What labels must stay within
 * @param font Size of the font
 * @param most Labels at most
 * @param lines What else labels must not cover
 */
export function placeLabels(
  points: readonly LabelledPoint[],
  frame: Box,
  font: number,
  most: number,
  lines: readonly Box[] = [],
): PlacedLabel[] {
  const obstacles: Box[] = [
    ...lines,
    ...points.flatMap(({ x, y, top, bottom }) => [
      { left: x - POINT, right: x + POINT, top: y - POINT, bottom: y + POINT },
      { left: x - 1, right: x + 1, top, bottom },
    ]),
  ];
  const placed: PlacedLabel[] = [];
  for (const { text, x, y, top, bottom, color } of points) {
    if (placed.length === most) break;
    const width = text.length * font * LETTER;
    const [middle, high, low] = [y + font * 0.35, y - font * 0.7, y + font * 1.4];
    const over = Math.min(top, y - POINT) - 4;
    const under = Math.max(bottom, y + POINT) + font + 2;
    const tries: readonly (readonly [number, number, PlacedLabel["anchor"]])[] = [
      [x + 10, middle, "start"],
      [x - 10, middle, "end"],
      [x + 8, high, "start"],
      [x - 8, high, "end"],
      [x + 8, low, "start"],
      [x - 8, low, "end"],
      [x, over, "middle"],
      [x, under, "middle"],
    ];
    for (const [at, baseline, anchor] of tries) {
      const left = anchor === "start" ? at : anchor === "end" ? at - width : at - width / 2;
      const box = { left, right: left + width, top: baseline - font, bottom: baseline + 3 };
      const within = box.left >= frame.left && box.right <= frame.right &&
        box.top >= frame.top && box.bottom <= frame.bottom;
      if (!within || !obstacles.every((other) => apart(box, other))) continue;
      obstacles.push(box);
      placed.push({ text, x: at, y: baseline, anchor, color });
      break;
    }
  }
  return placed;
}

/**
 * Heights as near as can be to those asked for, in their order, none nearer to another than a gap.
 *
 * @param wanted Pixels, y downwards
 * @param gap Least distance of two
 * @param low Greatest height that the last may have
 */
export function spread(wanted: readonly number[], gap: number, low: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const heights = wanted.slice();
  order.forEach((i, rank) => {
    if (rank > 0) heights[i] = Math.max(heights[i], heights[order[rank - 1]] + gap);
  });
  let limit = low;
  for (const i of order.toReversed()) {
    heights[i] = Math.min(heights[i], limit);
    limit = heights[i] - gap;
  }
  return heights;
}
