import * as Plot from "@observablehq/plot";
import { DOMParser } from "linkedom";
import { Markup } from "./html.ts";

const document = new DOMParser().parseFromString("<html></html>", "text/html");

/** What of an SVG element figures are finished with. */
export interface Svg {
  /** Its markup. */
  readonly outerHTML: string;
  /** Sets an attribute. */
  setAttribute(name: string, value: string): void;
  /** Removes an attribute. */
  removeAttribute(name: string): void;
  /** Elements below it. */
  querySelectorAll(selector: string): Iterable<Svg & { remove(): void }>;
  /** Puts another element at its end. */
  append(child: unknown): void;
}

/** A drawn figure. */
export interface Drawing {
  /** The SVG element. */
  readonly svg: Svg;
  /** Pixels of a value on an axis. */
  pixel(axis: "x" | "y", value: number): number;
}

/** Draws with Plot; colours follow the page, so that one drawing serves light and dark. */
export function draw(options: Plot.PlotOptions & { readonly ariaLabel: string }): Drawing {
  const svg = Plot.plot({ document, ...options });
  svg.setAttribute("role", "img");
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  return {
    svg: svg as unknown as Svg,
    pixel: (axis, value) => svg.scale(axis)!.apply(value),
  };
}

/** A label at a place of a figure, in pixels. */
export function addText(
  svg: Svg,
  label: {
    readonly text: string;
    readonly x: number;
    readonly y: number;
    readonly anchor: "start" | "middle" | "end";
    readonly color: string;
  },
): void {
  const text = document.createElementNS("http://www.w3.org/2000/svg", "text", {});
  text.setAttribute("class", "label");
  text.setAttribute("x", label.x.toFixed(1));
  text.setAttribute("y", label.y.toFixed(1));
  text.setAttribute("text-anchor", label.anchor);
  text.setAttribute("fill", label.color);
  text.textContent = label.text;
  svg.append(text);
}

/** Numbers of an SVG's text with the digits that a screen can show. */
const LONG = /-?\d+\.\d{3,}/g;

/** A figure's text for the page, without Plot's own styles, which the page has once. */
export function svgMarkup(svg: Svg): Markup {
  for (const style of svg.querySelectorAll("style")) style.remove();
  const text = svg.outerHTML;
  return new Markup(text.replace(LONG, (number) => String(Math.round(Number(number) * 100) / 100)));
}
