import { plus } from "../graph/shape.ts";
import type { Initializer } from "../layers/scope.ts";
import type { EmbedSite, Site } from "../layers/site.ts";
import { concat, slice } from "../ops/concat.ts";
import { broadcastTo } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import type { Method, MethodOptions, Target } from "./method.ts";
import { count, oneOf, type OptionRule, orAuto, words } from "./options.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { isEncoderDecoder } from "./targets.ts";

const submodules: OptionRule = { rule: "1 or 2", check: (value) => value === 1 || value === 2 };

const own = {
  defaults: { tokens: 10, init: "vocabulary", text: "", submodules: 1 },
  rules: {
    tokens: count,
    init: oneOf("vocabulary", "random", "text"),
    text: words,
    submodules: orAuto(submodules),
  },
  libraries: {
    peft: {
      defaults: { init: "random", submodules: "auto" },
      rules: { init: oneOf("random", "text") },
    },
    opendelta: {
      defaults: { tokens: 100 },
      without: ["text", "submodules"],
      rules: { init: oneOf("vocabulary", "random") },
    },
  },
};

const check = semanticParser("soft_prompt", own);

function parse(options: MethodOptions): MethodOptions {
  const parsed = check(options);
  if ((parsed.init === "text") !== (parsed.text !== "")) {
    throw new RangeError(
      `Cannot use soft_prompt with init ${parsed.init} and text ${
        JSON.stringify(parsed.text)
      }: init text takes a text and the others none, as in init=text;text=is+it+good`,
    );
  }
  return parsed;
}

/**
 * Soft prompt (Lester et al., 2021): trained vectors `prompt_embeddings` [tokens, width] in front of
 * the embedded input (of the encoder alone, where there is a decoder), always attended to.
 *
 * They start as vocabulary rows from number 100 on, behind the special tokens and byte pieces, as
 * N(0, 0.5), or as the rows of a text's tokens, repeated or cut to the length. OpenDelta takes the first rows, or uniform numbers within ±0.5; PEFT N(0, 1). PEFT
 * stores `submodules` times as many rows, two of an encoder-decoder unless told otherwise, and feeds
 * the first of them; the others are trained (by weight decay alone), saved and counted all the same.
 */
export const softPrompt: Method = {
  name: "soft_prompt",
  defaults: { semantics: "own", ...own.defaults },
  parse,
  label: (options) => {
    const { semantics, tokens, init, text, submodules } = options;
    const usual = parse({ semantics });
    return semanticLabel([
      `Soft prompt, ${tokens} ${tokens === 1 ? "token" : "tokens"}`,
      init === usual.init ? "" : init === "text" ? `from "${spaced(text)}"` : `${init} init`,
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
  attach: (target, options) => {
    const { sites, delta } = target;
    const site = sites.find((one) => one.kind === "embed");
    if (site === undefined) {
      throw new RangeError("Cannot attach soft_prompt: the model has no token embedding");
    }
    const count = Number(options.tokens);
    const copies = copiesOf(sites, options);
    const rows = delta.parameter(
      "prompt_embeddings",
      [count * copies, site.width],
      startOf(options, site, count * copies, target),
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

const spaced = (text: MethodOptions[string]) => String(text).replaceAll("+", " ");

function startOf(
  { semantics, init, text }: MethodOptions,
  { table, width }: EmbedSite,
  rows: number,
  { encode }: Pick<Target, "encode">,
): Initializer {
  if (init === "text") {
    return {
      kind: "computed",
      from: [table],
      compute: ([values]) => {
        const ids = encode?.(spaced(text)) ?? [];
        if (ids.length === 0) {
          throw new RangeError(
            `Cannot start soft_prompt from ${JSON.stringify(spaced(text))}: ` +
              (encode === undefined ? "there is no tokenizer here" : "it has no tokens"),
          );
        }
        const start = new Float32Array(rows * width);
        for (let row = 0; row < rows; row++) {
          const from = ids[row % ids.length] * width;
          start.set(values.subarray(from, from + width), row * width);
        }
        return start;
      },
      text: "rows of a text's tokens",
    };
  }
  if (init === "vocabulary") {
    return { kind: "rows", parameter: table, start: semantics === "opendelta" ? 0 : 100 };
  }
  if (semantics === "opendelta") return { kind: "uniform", bound: 0.5 };
  return { kind: "normal", deviation: semantics === "peft" ? 1 : 0.5 };
}
