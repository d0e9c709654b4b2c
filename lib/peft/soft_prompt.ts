import { plus } from "../graph/shape.ts";
import type { Initializer } from "../layers/scope.ts";
import type { EmbedSite, Site } from "../layers/site.ts";
import { concat, slice } from "../ops/concat.ts";
import { broadcastTo } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import type { Method, MethodOptions } from "./method.ts";
import { count, type OptionRule, orAuto } from "./options.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { isEncoderDecoder } from "./targets.ts";

const start: OptionRule = {
  rule: "vocabulary or random (a start from words would need the base's tokenizer here)",
  check: (value) => value === "vocabulary" || value === "random",
};

const submodules: OptionRule = { rule: "1 or 2", check: (value) => value === 1 || value === 2 };

const own = {
  defaults: { tokens: 10, init: "vocabulary", submodules: 1 },
  rules: { tokens: count, init: start, submodules: orAuto(submodules) },
  libraries: {
    peft: { defaults: { init: "random", submodules: "auto" }, without: ["init"] },
    opendelta: { defaults: { tokens: 100 }, without: ["submodules"] },
  },
};

const parse = semanticParser("soft_prompt", own);

/**
 * Soft prompt (Lester et al., 2021): trained vectors `prompt_embeddings` [tokens, width] in front of
 * the embedded input (of the encoder alone, where there is a decoder), always attended to.
 *
 * They start as vocabulary rows from number 100 on, behind the special tokens and byte pieces, or as
 * N(0, 0.5). OpenDelta takes the first rows, or uniform numbers within ±0.5; PEFT N(0, 1). PEFT
 * stores `submodules` times as many rows, two of an encoder-decoder unless told otherwise, and feeds
 * the first of them; the others are trained (by weight decay alone), saved and counted all the same.
 */
export const softPrompt: Method = {
  name: "soft_prompt",
  defaults: { semantics: "own", ...own.defaults },
  parse,
  label: (options) => {
    const { semantics, tokens, init, submodules } = options;
    const usual = parse({ semantics });
    return semanticLabel([
      `Soft prompt, ${tokens} ${tokens === 1 ? "token" : "tokens"}`,
      init === usual.init ? "" : `${init} init`,
      submodules === usual.submodules
        ? ""
        : `${submodules} submodule${submodules === 1 ? "" : "s"}`,
    ], options);
  },
  semantics: semanticsOf(own),
  trains: "head",
  needsHead: false,
  startsAsBase: "the prompt stands in front of the input from the start",
  note: (sites, options) => {
    const { tokens } = options;
    const rows = copiesOf(sites, options) * Number(tokens);
    return rows === tokens ? null : `PEFT keeps a prompt for encoder and decoder each ` +
      `(num_transformer_submodules 2): ${rows} rows are stored, trained and counted, and the ` +
      `first ${tokens} are fed to the encoder`;
  },
  positions: ({ tokens }) => Number(tokens),
  attach: ({ sites, delta }, options) => {
    const site = sites.find((one) => one.kind === "embed");
    if (site === undefined) {
      throw new RangeError("Cannot attach soft_prompt: the model has no token embedding");
    }
    const count = Number(options.tokens);
    const copies = copiesOf(sites, options);
    const rows = delta.parameter(
      "prompt_embeddings",
      [count * copies, site.width],
      startOf(options, site),
      "trainable",
    );
    const prompt = copies === 1 ? rows : slice(rows, 0, 0, count);
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

/** How many times as many rows are stored as are fed. */
function copiesOf(sites: readonly Site[], { submodules }: MethodOptions): number {
  if (submodules !== "auto") return Number(submodules);
  return isEncoderDecoder(sites) ? 2 : 1;
}

function startOf({ semantics, init }: MethodOptions, { table }: EmbedSite): Initializer {
  if (init === "vocabulary") {
    return { kind: "rows", parameter: table, start: semantics === "opendelta" ? 0 : 100 };
  }
  if (semantics === "opendelta") return { kind: "uniform", bound: 0.5 };
  return { kind: "normal", deviation: semantics === "peft" ? 1 : 0.5 };
}
