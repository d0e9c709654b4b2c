import type { Method } from "./method.ts";
import { optionParser } from "./options.ts";

/** BitFit (Ben Zaken et al., 2022): every bias trains, those of norms included, and the head. */
export const bitfit: Method = {
  name: "bitfit",
  defaults: {},
  parse: optionParser("bitfit", {}, {}),
  label: () => "BitFit",
  trains: "biases",
  needsHead: false,
  startsAsBase: true,
  attach: () => {},
};
