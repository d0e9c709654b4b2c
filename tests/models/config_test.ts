import { assertEquals, assertThrows } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { llamaConfig, t5Config } from "../small_models.ts";

const build = (config: Record<string, unknown>) => () =>
  buildModel(config, { classes: 2, head: false });

Deno.test("a config of an unknown kind is refused, with the known ones", () => {
  assertThrows(
    build({ ...t5Config, model_type: "mamba" }),
    TypeError,
    'Cannot build model: model_type "mamba" is not supported; use bert, gpt2, llama, t5',
  );
  assertThrows(build({}), TypeError, "model_type none is not supported");
  assertThrows(build({ model_type: "constructor" }), TypeError, "is not supported");
});

Deno.test("a field that does not fit is named with its value", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ ...t5Config, d_model: 0 }, "d_model must be a whole number above 0, found 0"],
    [
      { ...t5Config, d_model: undefined },
      "d_model must be a whole number above 0, found none",
    ],
    [{ ...t5Config, num_layers: "two" }, 'num_layers must be a whole number above 0, found "two"'],
    [{ ...t5Config, vocab_size: 1.5 }, "vocab_size must be"],
    [{ ...t5Config, tie_word_embeddings: "yes" }, "tie_word_embeddings must be true or false"],
    [{ ...t5Config, layer_norm_epsilon: -1 }, "layer_norm_epsilon must be a number above 0"],
    [{ ...t5Config, feed_forward_proj: "maxout" }, "maxout"],
    [{ ...llamaConfig, hidden_act: 3 }, "hidden_act must be a text, found 3"],
    [{ ...llamaConfig, num_attention_heads: 5 }, "num_attention_heads 5 does not divide"],
    [{ ...llamaConfig, num_key_value_heads: 3 }, "num_key_value_heads 3 does not divide"],
    [{ ...llamaConfig, pretraining_tp: 2 }, "pretraining_tp 2 is not supported, only 1"],
    [
      { ...llamaConfig, rope_scaling: { rope_type: "yarn" } },
      'rope_scaling "yarn" is not supported',
    ],
    [{ ...llamaConfig, rope_scaling: { rope_type: "llama3" } }, "factor must be a number above 0"],
  ];
  for (const [config, message] of bad) assertThrows(build(config), Error, message);
});

Deno.test("v1.0 ties its output to the embedding, v1.1 has its own and two inputs to its gate", () => {
  const names = (config: Record<string, unknown>) => [...build(config)().scope.parameters.keys()];
  const tied = names(t5Config);
  const untied = names({
    ...t5Config,
    feed_forward_proj: "gated-gelu",
    tie_word_embeddings: false,
  });
  assertEquals(tied.includes("lm_head.weight"), false);
  assertEquals(untied.includes("lm_head.weight"), true);
  assertEquals(tied.filter((name) => name.includes(".wi")).length, 3);
  assertEquals(untied.filter((name) => /\.wi_[01]\./.test(name)).length, 6);
});
