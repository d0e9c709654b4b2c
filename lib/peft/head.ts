import type { Method } from "./method.ts";
import { optionParser } from "./options.ts";

/** A linear classifier on the frozen base: only the classification head trains. */
export const head: Method = {
  name: "head",
  defaults: {},
  parse: optionParser("head", {}, {}),
  label: () => "Head only",
  trains: "head",
  needsHead: true,
  startsAsBase: true,
  attach: () => {},
};
