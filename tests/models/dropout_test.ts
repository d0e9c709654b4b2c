import { assert, assertEquals } from "@std/assert";
import { input } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import type { Context } from "../../lib/layers/site.ts";
import { buildModel } from "../../lib/models/index.ts";
import type { ModelInputs } from "../../lib/models/model.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";

const [B, T] = [symbol("B"), symbol("T")];
const inputs: ModelInputs = {
  ids: input("ids", [B, T], "u32"),
  mask: input("mask", [B, T], "f32"),
  last: input("last", [B], "u32"),
  decoderIds: input("decoder_ids", [B, 3], "u32"),
};

/** Sites and probabilities of a forward pass's dropouts. */
function dropouts(config: Record<string, unknown>, frozenDropout: number): [string, number][] {
  const { textToText, classify } = buildModel(config, { classes: 2, head: false });
  const found: [string, number][] = [];
  const context: Context = {
    frozenDropout,
    dropout: (x, probability, site) => {
      found.push([site, probability]);
      return x;
    },
  };
  if (textToText === undefined) classify!(inputs, context);
  else textToText.logits(inputs, context);
  return found;
}

Deno.test("every dropout in the frozen base has a place of its own, so numbers of its own", () => {
  for (const config of [bertConfig, gpt2Config, llamaConfig, t5Config]) {
    const sites = dropouts(config, 0.1).map(([site]) => site);
    // Attention weights and both blocks' outputs of each layer at least.
    assert(sites.length >= 6, config.model_type);
    assertEquals(sites.filter((site, i) => sites.indexOf(site) !== i), [], config.model_type);
    assertEquals(dropouts(config, 0), []);
  }
});

Deno.test("BERT's classifier has its own dropout where the config gives one", () => {
  const last = (classifier_dropout: number | null) =>
    dropouts({ ...bertConfig, classifier_dropout }, 0.1).at(-1);
  assertEquals(last(null), ["classifier.dropout", 0.1]);
  assertEquals(last(0.25), ["classifier.dropout", 0.25]);
  assertEquals(last(0)?.[0], "bert.encoder.layer.1.output.dropout");
});
