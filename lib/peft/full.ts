import type { Method } from "./method.ts";
import { optionParser } from "./options.ts";

/** Full fine-tuning: every parameter of the base trains. */
export const full: Method = {
  name: "full",
  defaults: {},
  parse: optionParser("full", {}, {}),
  label: () => "Full fine-tuning",
  trains: "all",
  needsHead: false,
  startsAsBase: true,
  attach: () => {},
};
