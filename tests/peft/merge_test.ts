/** A base with a delta merged into it computes what base and delta compute together. */

import { assert, assertThrows } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { measure } from "../../lib/parity/measure.ts";
import { methods } from "../../lib/peft/index.ts";
import { mergeMethod } from "../../lib/peft/merge.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues, randomWeights, type WeightValues } from "../../lib/train/initialize.ts";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import {
  bertConfig,
  gpt2Config,
  llamaConfig,
  smallBatch,
  t5Config,
  t5GatedConfig,
} from "../small_models.ts";

const families = { t5Config, t5GatedConfig, llamaConfig, bertConfig, gpt2Config };

const mergeable: [string, MethodOptions][] = [
  ["lora", { rank: 3 }],
  ["lora", { rank: 2, rslora: true, alpha: 3, init: "gaussian" }],
  ["lora", { rank: 2, dora: true }],
  ["lora", { rank: 2, init: "pissa" }],
  ["lora", { rank: 2, semantics: "opendelta" }],
  ["ia3", {}],
  ["ia3", { semantics: "peft" }],
];

gpuTest("merged weights give the logits of base and delta", async (gpu) => {
  for (const [family, config] of Object.entries(families)) {
    for (const [name, chosen] of mergeable) {
      const where = `${family}, ${name} ${JSON.stringify(chosen)}`;
      const method = methods[name];
      const options = method.parse(chosen);
      const build = () => buildModel(config, { classes: 3, head: false });
      const model = build();
      const attached = attachMethod(model, method, options);
      const values = new Map(randomWeights(model.scope.select(), 11));
      for (const parameter of attached.delta.select()) {
        const start = initialValues(parameter, 11, values);
        // Trained a little: none of them at its start.
        const frozen = parameter.name.endsWith(".initial");
        const moved = randomNormal(start.length).map((x, i) => start[i] + (frozen ? 0 : x / 10));
        values.set(parameter.name, Float32Array.from(moved));
      }
      const bare = build();
      const logits = async (
        subject: typeof model,
        under: ReturnType<typeof attachMethod>,
        weights: WeightValues,
      ) => {
        const { outputs } = await measure({
          gpu,
          model: subject,
          attached: under,
          values: weights,
          batch: smallBatch(subject),
          steps: 0,
          learningRate: 1,
          weightDecay: 0,
          wanted: [],
        });
        return outputs.get("logits")!.data;
      };
      const together = await logits(model, attached, values);
      const none = attachMethod(bare, methods.zero_shot, {});
      const alone = await logits(bare, none, values);
      assert(together.some((x, i) => Math.abs(x - alone[i]) > 1e-3), `${where}: nothing changed`);
      const merged = mergeMethod(bare, method, options, values);
      expectClose(where, await logits(bare, none, merged), together, 2e-5, 0);
    }
  }
});

Deno.test("what cannot be merged says so", () => {
  const model = buildModel(llamaConfig, { classes: 3, head: false });
  for (const name of ["adapter", "soft_prompt", "prefix"]) {
    const options = methods[name].parse({});
    assertThrows(
      () => mergeMethod(model, methods[name], options, new Map()),
      TypeError,
      `Cannot merge ${name}`,
    );
  }
  assertThrows(
    () => mergeMethod(model, methods.lora, methods.lora.parse({}), new Map()),
    RangeError,
    "Cannot merge: model.layers.0.self_attn.q_proj.weight has no values",
  );
});
