import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { Session } from "../../../lib/gpu/session.ts";
import { operationsOf } from "../../../lib/graph/operations.ts";
import type { Pass } from "../../../lib/graph/passes/rewrite.ts";
import { type Precision, storagePolicy } from "../../../lib/graph/precision.ts";
import type { RawConfig } from "../../../lib/models/config.ts";
import { buildModel } from "../../../lib/models/index.ts";
import { methods } from "../../../lib/peft/index.ts";
import { attachMethod, fullPrecisionNames, type MethodOptions } from "../../../lib/peft/method.ts";
import { runGraphs } from "../../../lib/train/graphs.ts";
import { initialValues, randomWeights } from "../../../lib/train/initialize.ts";
import { trainSettings } from "../../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../../lib/train/task.ts";
import { gpuTest } from "../../check_op.ts";
import {
  bertConfig,
  gpt2Config,
  llamaConfig,
  t5Config,
  t5GatedConfig,
} from "../../small_models.ts";

const WORDS = { words: ["no", "yes"], ids: [[3], [5]] };
const SETTINGS = trainSettings({ learningRate: 1e-2, frozenDropout: 0.1, clipNorm: 1 });

const examples: Encoded[] = Array.from({ length: 4 }, (_, i) => ({
  ids: Array.from({ length: 5 + 9 * (i % 2) }, (_, t) => 7 + (5 * i + 3 * t) % 100),
  label: i % 2,
}));

type Cell = [RawConfig, string, MethodOptions, boolean, Precision];

/** Two optimizer steps and a scoring: every variable, the scores, and what it took. */
async function steps(
  gpu: Gpu,
  [config, name, options, recompute, precision]: Cell,
  passes?: readonly Pass[],
) {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: method.needsHead });
  const attached = attachMethod(model, method, method.parse(options));
  const task = makeTask(model, 0, model.textToText ? WORDS : null);
  const { backward, update, scores } = runGraphs(
    { attached, task, settings: SETTINGS, precision },
    2,
    recompute,
  );
  const session = new Session(gpu, storagePolicy(precision, fullPrecisionNames(attached)), passes);
  try {
    const training = session.program(backward!, { B: 4, T: 16 });
    const updating = session.program(update!.roots, {});
    const scoring = session.program([scores], { B: 4, T: 16 }, [scores]);
    await session.build();
    session.poison();
    const values = randomWeights(model.scope.select(), 1);
    for (const parameter of [...model.scope.select(), ...attached.delta.select()]) {
      const own = values.get(parameter.name) ?? initialValues(parameter, 3, values);
      // What starts at zero would hide what follows from it.
      const shown = own.some((value) => value !== 0)
        ? own
        : own.map((_, i) => Math.fround(Math.sin(i) / 8));
      session.upload(parameter.name, shown);
    }
    for (const [variable, start] of update!.initial) session.upload(variable, start);
    const batch = { examples, indices: [0, 1, 2, 3], size: 4, length: 16 };
    for (let step = 0; step < 2; step++) {
      session.write(training, task.trainingInputs(batch));
      session.run([training, updating]);
    }
    session.write(scoring, task.scoringInputs(batch));
    session.run([scoring]);
    const [scored] = await session.read(scoring, [scores]);
    const roles = ["trainable", "gradient", "optimizer", "control"] as const;
    return {
      variables: await session.readVariables([...session.variables(roles).keys()].sort()),
      scored,
      launches: [training, updating, scoring].map(({ dispatches }) => dispatches),
      operations: [training, scoring].map(({ plan, sizes }) => operationsOf(plan.order, sizes)),
      activations: session.memory().activations,
    };
  } finally {
    session.destroy();
  }
}

const CELLS: [string, ...Cell][] = [
  ["T5", t5Config, "lora", { rank: 4, dropout: 0.1 }, false, "f32"],
  ["T5", t5Config, "full", {}, false, "f32"],
  ["T5", t5Config, "adapter", {}, true, "f32"],
  ["gated T5", t5GatedConfig, "full", {}, false, "f32"],
  ["gated T5", t5GatedConfig, "soft_prompt", {}, false, "f32"],
  ["BERT", bertConfig, "full", {}, true, "f32"],
  ["BERT", bertConfig, "bitfit", {}, false, "f32"],
  ["GPT-2", gpt2Config, "ia3", {}, false, "f32"],
  ["GPT-2", gpt2Config, "lora", { dora: true }, false, "f32"],
  ["Llama", llamaConfig, "full", {}, false, "f32"],
  ["Llama", llamaConfig, "lora", { init: "pissa" }, true, "f32"],
  ["T5", t5Config, "lora", { rank: 4, dropout: 0.1 }, true, "f16"],
  ["BERT", bertConfig, "adapter", {}, false, "f16"],
  ["GPT-2", gpt2Config, "full", {}, false, "f16"],
  ["Llama", llamaConfig, "adapter", {}, false, "f16"],
  ["Llama", llamaConfig, "adapter", {}, true, "f16"],
];

for (const [family, ...cell] of CELLS) {
  const [, method, , recompute, precision] = cell;
  const how = recompute ? " with recomputation" : "";
  gpuTest(
    `passes change no bit of ${family} under ${method} in ${precision}${how}`,
    async (gpu) => {
      const [plain, passed] = [await steps(gpu, cell, []), await steps(gpu, cell)];
      assert(plain.variables.size > 0 && plain.scored.every(Number.isFinite));
      for (const [name, values] of plain.variables) {
        assertEquals(bits(passed.variables.get(name)!), bits(values), name);
      }
      assertEquals(bits(passed.scored), bits(plain.scored));
      assertEquals(passed.launches[1], plain.launches[1]);
      for (const program of [0, 2]) assert(passed.launches[program] < plain.launches[program]);
      // A factor of one is no operation any more.
      passed.operations.forEach((count, i) => {
        assert(count <= plain.operations[i] && count > 0.999 * plain.operations[i]);
      });
    },
  );
}

/** Values as they lie in memory, NaN and signs of zero told apart. */
function bits(values: Float32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return new Uint32Array(values.buffer);
}
