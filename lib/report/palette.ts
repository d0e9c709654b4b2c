/**
 * One colour and one symbol for each method: told apart without colours, too.
 *
 * @module
 */

/**
 * Hues that people with any of the common colour-blindnesses tell apart (after Okabe and Ito, 2002,
 * Color universal design), as dark as 4.5 : 1 on white asks for, and as light on the dark page.
 */
export const hues: readonly { readonly light: string; readonly dark: string }[] = [
  { light: "#0b62a8", dark: "#62b0f0" }, // blue
  { light: "#b84500", dark: "#ff9155" }, // vermilion
  { light: "#00755a", dark: "#3fcf9f" }, // green
  { light: "#a13d7a", dark: "#e995c9" }, // purple
  { light: "#7d5c00", dark: "#e6bf4a" }, // ochre
  { light: "#55606c", dark: "#b3bec9" }, // grey
];

const symbols = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"] as const;

/** How a method is drawn. */
export interface Mark {
  /** A colour that follows the page's scheme. */
  readonly color: string;
  /** A symbol's name. */
  readonly symbol: typeof symbols[number];
}

/** Marks of methods, in the order of their names' first appearance. */
export function marksOf(methods: Iterable<string>): ReadonlyMap<string, Mark> {
  return new Map([...new Set(methods)].map((name, i) => [name, {
    color: `var(--hue${i % hues.length})`,
    symbol: symbols[i % symbols.length],
  }]));
}
