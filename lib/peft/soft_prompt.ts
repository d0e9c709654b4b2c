import { broadcastTo } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import { concat } from "../ops/concat.ts";
import { plus } from "../graph/shape.ts";
import type { Method } from "./method.ts";
import { count, oneOf, optionParser } from "./options.ts";

const defaults = { tokens: 10, init: "vocabulary" };

/** First vocabulary row that a prompt starts from: behind the special tokens and byte pieces. */
const FIRST_ROW = 100;

/**
 * Soft prompt (Lester et al., 2021): trained vectors `prompt_embeddings` [tokens, width] in front of
 * the embedded input (of the encoder alone, where there is a decoder), always attended to.
 *
 * They start as vocabulary rows from number 100 on, or as N(0, 0.5).
 */
export const softPrompt: Method = {
  name: "soft_prompt",
  defaults,
  parse: optionParser("soft_prompt", defaults, {
    tokens: count,
    init: oneOf("vocabulary", "random"),
  }),
  label: ({ tokens, init }) =>
    `Soft prompt, ${tokens} ${tokens === 1 ? "token" : "tokens"}${
      init === defaults.init ? "" : `, ${init} init`
    }`,
  trains: "head",
  needsHead: false,
  startsAsBase: "the prompt stands in front of the input from the start",
  positions: ({ tokens }) => Number(tokens),
  attach: ({ sites, delta }, { tokens, init }) => {
    const site = sites.find((one) => one.kind === "embed");
    if (site === undefined) {
      throw new RangeError("Cannot attach soft_prompt: the model has no token embedding");
    }
    const count = Number(tokens);
    const prompt = delta.parameter(
      "prompt_embeddings",
      [count, site.width],
      init === "vocabulary"
        ? { kind: "rows", parameter: site.table, start: FIRST_ROW }
        : { kind: "normal", deviation: 0.5 },
      "trainable",
    );
    site.transforms.push(({ hidden, mask, length, added, start }) => {
      const [batch] = hidden.shape;
      return {
        hidden: concat(broadcastTo(prompt, [batch, count, site.width]), hidden, 1),
        mask: concat(fill([batch, count], 1), mask, 1),
        length: plus(length, count),
        added: added + count,
        start,
      };
    });
  },
};
