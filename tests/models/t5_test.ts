import { assert, assertEquals } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { measure } from "../../lib/parity/measure.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { gpuTest } from "../check_op.ts";
import { smallBatch, t5Config, t5GatedConfig } from "../small_models.ts";

gpuTest("every method trains T5's encoder under a classification head", async (gpu) => {
  for (const config of [t5Config, t5GatedConfig]) {
    for (const [name, method] of Object.entries(methods)) {
      // T5 has no bias that BitFit could train; its own test says so.
      if (name === "bitfit" || method.trains === "nothing") continue;
      const model = buildModel(config, { classes: 3, head: true });
      const attached = attachMethod(model, method, method.parse({}));
      const trained = new Set(attached.trainable.map((parameter) => parameter.name));
      assertEquals(model.head.filter((parameter) => !trained.has(parameter)), [], name);
      const names = [...model.scope.parameters.keys(), ...attached.delta.parameters.keys()];
      assertEquals(names.filter((parameter) => /^decoder\.|lm_head/.test(parameter)), [], name);
      const base = randomWeights(model.scope.select(), 7);
      const delta = attached.delta.select().map((parameter) =>
        [parameter.name, initialValues(parameter, 7, base)] as const
      );
      const { losses, final } = await measure({
        gpu,
        model,
        attached,
        values: new Map([...base, ...delta]),
        batch: smallBatch(model),
        steps: 4,
        learningRate: 1e-2,
        weightDecay: 0,
        wanted: [],
      });
      assert(final.get("loss")!.data[0] < losses[0], `${name}: ${losses}`);
    }
  }
});
