import type { Node } from "../graph/node.ts";
import type { KeyValueSite } from "../layers/site.ts";
import { concat, slice } from "../ops/concat.ts";
import { broadcastTo } from "../ops/elementwise.ts";
import { fill } from "../ops/fill.ts";
import { reshape } from "../ops/reshape.ts";
import type { Method, Target } from "./method.ts";
import { count } from "./options.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { isEncoderDecoder, selfAttentions } from "./targets.ts";

const own = {
  defaults: { tokens: 10 },
  rules: { tokens: count },
  libraries: { peft: {} },
};

/**
 * Prefix-tuning (Li and Liang, 2021), without their projection: trained keys and values in front of
 * those of every self-attention of every stack, seen by every query.
 *
 * `<path>.prefix_keys` and `.prefix_values` [tokens, heads · size] start as N(0, 0.02). PEFT keeps
 * all in one `prompt_embeddings` [tokens, 2 · layers · width], N(0, 1), and of an encoder-decoder
 * reaches the decoder alone.
 */
export const prefix: Method = {
  name: "prefix",
  defaults: { semantics: "own", ...own.defaults },
  parse: semanticParser("prefix", own),
  label: (options) =>
    semanticLabel(
      [`Prefix, ${options.tokens} ${options.tokens === 1 ? "token" : "tokens"}`],
      options,
    ),
  semantics: semanticsOf(own),
  trains: "head",
  needsHead: false,
  startsAsBase: "the prefix stands in front of the keys from the start",
  note: (sites, { semantics }) =>
    semantics === "peft" && isEncoderDecoder(sites)
      ? "PEFT's prefix reaches the decoder alone: its layer j reads entries 4j and 4j + 1, modulo " +
        "two per encoder layer; entries that no layer reads are stored, trained and counted too"
      : null,
  positions: ({ tokens }) => Number(tokens),
  attach: (target, { tokens, semantics }) => {
    const { sites } = target;
    const length = Number(tokens);
    if (selfAttentions(sites).length === 0) {
      throw new RangeError("Cannot attach prefix: the model has no self-attention");
    }
    for (const site of sites) {
      if (site.kind !== "embed") continue;
      site.transforms.push((sequence) => ({ ...sequence, start: sequence.start + length }));
    }
    if (semantics === "peft") attachPeft(target, length);
    else attachOwn(target, length);
  },
};

function attachOwn({ sites, delta }: Target, length: number): void {
  for (const site of selfAttentions(sites)) {
    const width = site.heads * site.headSize;
    const [keys, values] = ["keys", "values"].map((kind) =>
      delta.parameter(
        `${site.path}.prefix_${kind}`,
        [length, width],
        { kind: "normal", deviation: 0.02 },
        "trainable",
      )
    );
    prepend(site, length, keys, values);
  }
}

/**
 * PEFT's layout: of each token's entries of one width, layer i has 2i as keys and 2i + 1 as values.
 *
 * In an encoder-decoder it repeats the entries and gives the decoder's layer j four of them, of which
 * self-attention reads two: 4j and 4j + 1, modulo all. The others go to cross-attention, which ignores
 * them.
 */
function attachPeft({ sites, delta }: Target, length: number): void {
  const both = isEncoderDecoder(sites);
  const attentions = selfAttentions(sites);
  const layers = attentions.filter(({ stack }) => !both || stack === "encoder").length;
  const embed = sites.find((site) => site.kind === "embed");
  const [{ heads, headSize }] = attentions;
  const width = both && embed !== undefined ? embed.width : heads * headSize;
  const table = delta.parameter(
    "prompt_embeddings",
    [length, 2 * layers * width],
    { kind: "normal", deviation: 1 },
    "trainable",
  );
  const entry = (i: number) => slice(table, 1, (i % (2 * layers)) * width, width);
  for (const site of attentions) {
    if (both && site.stack === "encoder") continue;
    const first = (both ? 4 : 2) * site.layer;
    prepend(site, length, entry(first), entry(first + 1));
  }
}

/** Puts keys and values [length, heads · size] in front of a site's own. */
function prepend(site: KeyValueSite, length: number, keys: Node, values: Node): void {
  const { heads, headSize, path } = site;
  site.transforms.push((kv) => {
    const [batch] = kv.keys.shape;
    // Not before: PEFT makes and counts the parameters of such a model too, and fails on its use.
    if (keys.shape[1] !== heads * headSize) {
      throw new TypeError(
        `Cannot put a prefix in front of ${path}: PEFT gives it ${
          keys.shape[1]
        } numbers for each key, not the ${heads} × ${headSize} that it has; use own semantics`,
      );
    }
    const front = (x: Node) =>
      broadcastTo(reshape(x, [1, length, heads, headSize]), [batch, length, heads, headSize]);
    return {
      keys: concat(front(keys), kv.keys, 1),
      values: concat(front(values), kv.values, 1),
      mask: kv.mask === undefined ? undefined : concat(fill([batch, length], 1), kv.mask, 1),
    };
  });
}
