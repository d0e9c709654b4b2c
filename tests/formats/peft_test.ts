import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UnsupportedError } from "../../lib/formats/delta.ts";
import { openPeft, peftMethod, peftNames } from "../../lib/formats/peft.ts";
import { writeSafetensors } from "../../lib/formats/safetensors.ts";

const lora = { peft_type: "LORA", task_type: "SEQ_CLS", r: 4, target_modules: ["q", "v"] };
const ia3 = { peft_type: "IA3", target_modules: ["k", "v", "wo"], feedforward_modules: ["wo"] };
const prefix = { peft_type: "PREFIX_TUNING", num_virtual_tokens: 5, encoder_hidden_size: 8 };
const prompt = { peft_type: "PROMPT_TUNING", task_type: "SEQ_CLS", num_virtual_tokens: 5 };

Deno.test("a LoRA configuration becomes the method's options", () => {
  const options = {
    semantics: "peft",
    rank: 4,
    alpha: 8,
    dropout: 0,
    targets: "q+v",
    rslora: false,
    dora: false,
    init: "default",
  };
  assertEquals(peftMethod(lora), { method: "lora", options });
  assertEquals(
    peftMethod({ ...lora, lora_alpha: 16, lora_dropout: 0.1, target_modules: ["mlp.up_proj"] })
      .options,
    { ...options, alpha: 16, dropout: 0.1, targets: "mlp.up_proj" },
  );
  assertEquals(
    peftMethod({ ...lora, use_dora: true, use_rslora: true, init_lora_weights: "gaussian" })
      .options,
    { ...options, dora: true, rslora: true, init: "gaussian" },
  );
  assertEquals(peftMethod({ ...lora, init_lora_weights: "pissa" }).options.init, "pissa");
  assertEquals(peftMethod({ ...lora, fan_in_fan_out: true }).options, options);
});

Deno.test("an IA3 configuration becomes the method's options", () => {
  assertEquals(peftMethod(ia3), {
    method: "ia3",
    options: { semantics: "peft", targets: "k+v+wo", feedforward: "wo" },
  });
});

Deno.test("a prompt configuration becomes the method's options", () => {
  const options = { semantics: "peft", tokens: 5, submodules: 1 };
  assertEquals(peftMethod(prompt), { method: "soft_prompt", options });
  const both = { ...options, submodules: 2 };
  assertEquals(peftMethod({ ...prompt, num_transformer_submodules: 2 }).options, both);
  assertEquals(peftMethod({ ...prompt, task_type: "SEQ_2_SEQ_LM" }).options, both);
});

Deno.test("a prefix configuration becomes the method's options", () => {
  assertEquals(peftMethod(prefix), { method: "prefix", options: { semantics: "peft", tokens: 5 } });
});

Deno.test("settings that change the result and are not supported are refused by name", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ ...lora, use_dora: "yes" }, 'use_dora must be true or false, found "yes"'],
    [{ ...lora, use_qalora: true }, "use_qalora true is not supported, leave it out"],
    [{ ...lora, bias: "all" }, 'bias "all" is not supported, only "none"'],
    [{ ...lora, rank_pattern: { q: 2 } }, 'rank_pattern {"q":2}'],
    [{ ...lora, alpha_pattern: { q: 2 } }, "alpha_pattern"],
    [{ ...lora, init_lora_weights: "olora" }, 'init_lora_weights "olora" is not supported'],
    [{ ...lora, init_lora_weights: "pissa_niter_4" }, 'init_lora_weights "pissa_niter_4"'],
    [{ ...lora, layers_to_transform: [0] }, "layers_to_transform [0]"],
    [{ ...lora, exclude_modules: ["k"] }, "exclude_modules"],
    [{ ...lora, modules_to_save: ["embed_tokens"] }, 'modules_to_save "embed_tokens"'],
    [{ ...lora, target_modules: ".*q" }, "target_modules must be a list"],
    [
      { ...lora, target_modules: undefined },
      "target_modules must be a list of module names, found none",
    ],
    [{ ...lora, r: 0 }, "r must be a whole number above 0, found 0"],
    [{ ...lora, lora_alpha: null }, "lora_alpha must be a number above 0, found null"],
    [{ ...lora, something_new: 3 }, "something_new 3"],
    [{ ...prompt, num_virtual_tokens: 0 }, "num_virtual_tokens must be"],
    [{ ...prompt, num_transformer_submodules: 3 }, "must be 1 or 2, found 3"],
    [{ ...prefix, prefix_projection: true }, "prefix_projection true is not supported, only false"],
    [{ ...prefix, num_virtual_tokens: 1.5 }, "num_virtual_tokens must be"],
    [{ ...ia3, feedforward_modules: undefined }, "feedforward_modules must be a list"],
    [{ ...ia3, modules_to_save: ["shared"] }, 'modules_to_save "shared"'],
  ];
  for (const [config, message] of bad) assertThrows(() => peftMethod(config), TypeError, message);
});

Deno.test("settings that are empty or change nothing are passed over", () => {
  const idle = {
    alpha_pattern: {},
    auto_mapping: null,
    bias: "none",
    inference_mode: true,
    loftq_config: {},
    lora_bias: false,
    megatron_core: "megatron.core",
    modules_to_save: ["classifier", "score"],
    peft_version: "0.18.0",
    qalora_group_size: 16,
    use_dora: false,
  };
  assertEquals(peftMethod({ ...lora, ...idle }), peftMethod(lora));
});

Deno.test("other kinds are told apart from broken ones", () => {
  for (const peft_type of ["LOHA", "P_TUNING", undefined]) {
    assertThrows(
      () => peftMethod({ peft_type }),
      UnsupportedError,
      "only IA3, LORA, PREFIX_TUNING",
    );
  }
});

Deno.test("names go both ways", () => {
  const pairs: [Parameters<typeof peftNames>[0], string, string][] = [
    ["lora", "encoder.block.0.q.lora_A.weight", "base_model.model.encoder.block.0.q.lora_A.weight"],
    ["lora", "model.layers.0.lora_B.weight", "base_model.model.model.layers.0.lora_B.weight"],
    ["lora", "score.weight", "base_model.model.score.weight"],
    ["soft_prompt", "score.weight", "base_model.score.weight"],
    ["soft_prompt", "prompt_embeddings", "prompt_embeddings"],
    ["prefix", "prompt_embeddings", "prompt_embeddings"],
    ["prefix", "classifier.bias", "base_model.classifier.bias"],
    ["ia3", "a.k.ia3_l", "base_model.model.a.k.ia3_l"],
    ["lora", "a.q.lora_magnitude_vector", "base_model.model.a.q.lora_magnitude_vector"],
  ];
  for (const [method, own, foreign] of pairs) {
    assertEquals(peftNames(method).own(foreign), own);
    assertEquals(peftNames(method).foreign(own), foreign);
  }
  assertThrows(() => peftNames("lora").own("score.weight"), TypeError, 'tensor "score.weight"');
});

Deno.test("a folder is opened under this project's names", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/adapter_config.json`, JSON.stringify(lora));
    await assertRejects(() => openPeft(dir), Error, "adapter_model.safetensors: no such file");
    const data = Float32Array.of(1, 2, 3, 4);
    await writeSafetensors(
      `${dir}/adapter_model.safetensors`,
      new Map([["base_model.model.a.q.lora_A.weight", { shape: [4, 1], data }]]),
    );
    const { method, tensors, foreignName } = await openPeft(dir);
    assertEquals(method, "lora");
    assertEquals(tensors.names(), ["a.q.lora_A.weight"]);
    assertEquals(tensors.info("a.q.lora_A.weight").shape, [4, 1]);
    assertEquals(await tensors.read("a.q.lora_A.weight"), data);
    assertEquals(tensors.has("base_model.model.a.q.lora_A.weight"), false);
    assertEquals(foreignName("a.q.lora_A.weight"), "base_model.model.a.q.lora_A.weight");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
