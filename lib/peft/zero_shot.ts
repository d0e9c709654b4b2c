import type { Method } from "./method.ts";
import { optionParser } from "./options.ts";

/** The base as it is: nothing trains. A classification head, where needed, is the seeded one. */
export const zeroShot: Method = {
  name: "zero_shot",
  defaults: {},
  parse: optionParser("zero_shot", {}, {}),
  label: () => "Zero-shot",
  trains: "nothing",
  needsHead: false,
  startsAsBase: true,
  attach: () => {},
};
