import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { MemoryPlanner } from "../../lib/graph/memory.ts";
import { plan } from "../../lib/graph/plan.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { type Execution, parseBytes } from "../../lib/train/execution.ts";
import { type GraphParts, runGraphs } from "../../lib/train/graphs.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { train, type TrainOutcome } from "../../lib/train/trainer.ts";
import { gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";

const WORDS = { words: ["no", "yes"], ids: [[3], [5]] };
const SETTINGS = trainSettings({
  learningRate: 1e-2,
  epochs: 2,
  batchSize: 4,
  frozenDropout: 0.1,
});

/** Twelve examples of two lengths, so that there are two buckets. */
const examples: Encoded[] = Array.from({ length: 12 }, (_, i) => ({
  ids: Array.from({ length: 5 + 9 * (i % 2) }, (_, t) => 7 + (5 * i + 3 * t) % 100),
  label: i % 2,
}));

function parts(config: RawConfig, name: string, settings = SETTINGS) {
  const method = methods[name];
  const model = buildModel(config, { classes: 2, head: method.needsHead });
  const options = method.parse(name === "lora" ? { rank: 4, dropout: 0.1 } : {});
  const attached = attachMethod(model, method, options);
  const task = makeTask(model, 0, model.textToText ? WORDS : null);
  return { model, attached, task, settings };
}

async function run(
  gpu: Gpu,
  config: RawConfig,
  name: string,
  execution: Execution,
): Promise<{ losses: number[]; outcome: TrainOutcome }> {
  const losses: number[] = [];
  const own = parts(config, name);
  const outcome = await train({
    gpu,
    ...own,
    seed: 3,
    weights: randomWeights(own.model.scope.select(), 1),
    train: examples,
    validation: examples,
    execution,
    onEpoch: ({ losses: epoch }) => void losses.push(...epoch),
  });
  return { losses, outcome };
}

/** Gradients of the first batch, by name. */
async function gradients(gpu: Gpu, config: RawConfig, name: string, recompute: boolean) {
  const { model, attached, task, settings } = parts(config, name);
  const { backward, update } = runGraphs({ attached, task, settings }, 2, recompute);
  const session = new Session(gpu);
  const program = session.program(backward!, { B: 4, T: 16 });
  await session.build();
  const values = randomWeights(model.scope.select(), 1);
  for (const parameter of [...model.scope.select(), ...attached.delta.select()]) {
    session.upload(
      parameter.name,
      values.get(parameter.name) ?? initialValues(parameter, 3, values),
    );
  }
  session.write(
    program,
    task.trainingInputs({
      examples: examples.slice(0, 4),
      indices: [0, 1, 2, 3],
      size: 4,
      length: 16,
    }),
  );
  session.run([program]);
  const names = [...update!.gradients.keys()].map((node) =>
    `${(node.attributes as { name: string }).name}.grad`
  );
  const found = await session.readVariables(names);
  session.destroy();
  return found;
}

for (
  const [family, config] of Object.entries({
    t5: { ...t5Config, num_layers: 3, num_decoder_layers: 3 },
    llama: { ...llamaConfig, num_hidden_layers: 4 },
    bert: { ...bertConfig, num_hidden_layers: 3 },
    gpt2: { ...gpt2Config, n_layer: 3 },
  })
) {
  for (const name of ["full", "lora"]) {
    gpuTest(`recomputing blocks changes no bit of ${family} under ${name}`, async (gpu) => {
      const never = await run(gpu, config, name, { recompute: "never", memory: null });
      const always = await run(gpu, config, name, { recompute: "always", memory: null });
      assertEquals([never.outcome.recomputed, always.outcome.recomputed], [false, true]);
      assertEquals(always.losses, never.losses);
      assertEquals(always.losses.length, 6);
      assertEquals(always.outcome.trained, never.outcome.trained);
      const kept = await gradients(gpu, config, name, false);
      assert([...kept.values()].some((values) => values.some((value) => value !== 0)));
      assertEquals(await gradients(gpu, config, name, true), kept);
      assert(always.outcome.dispatchesPerStep > never.outcome.dispatchesPerStep);
    });
  }
}

gpuTest(
  "a plan is recomputed where it does not fit otherwise, and refused where it never does",
  async (gpu) => {
    const config = { ...llamaConfig, num_hidden_layers: 6 };
    const outcome = async (execution: Execution) =>
      (await run(gpu, config, "full", execution)).outcome;
    const never = await outcome({ recompute: "never", memory: null });
    const always = await outcome({ recompute: "always", memory: null });
    assert(always.memory.total < never.memory.total);
    for (
      const [memory, recomputed] of [
        [null, false],
        [never.memory.total, false],
        [never.memory.total - 1, true],
        [always.memory.total, true],
      ] as const
    ) {
      const chosen = await outcome({ recompute: "auto", memory });
      assertEquals([chosen.recomputed, chosen.trained], [recomputed, never.trained]);
    }
    const { total } = always.memory;
    await assertRejects(
      () => outcome({ recompute: "auto", memory: total - 1 }),
      RangeError,
      `Cannot plan ${total} bytes on the GPU: the budget is ${
        total - 1
      } bytes, 1 fewer; raise --mem`,
    );
    await assertRejects(
      () => outcome({ recompute: "never", memory: total }),
      RangeError,
      `Cannot plan ${never.memory.total} bytes on the GPU: the budget is ${total} bytes`,
    );
  },
);

/** Planned bytes of activations of a training step. */
function activations(graphParts: GraphParts, recompute: boolean, T: number): number {
  const { backward } = runGraphs(graphParts, 10, recompute);
  const planner = new MemoryPlanner();
  planner.add(plan(backward!, { B: 32, T }), { B: 32, T });
  return planner.memory().activations;
}

Deno.test("recomputing lowers the planned activations of real sizes", () => {
  const shown: [string, string, number][] = [
    ["t5-small", "full", 2.5],
    ["t5-small", "lora", 2.5],
    ["Llama-3.2-1B", "lora", 4],
  ];
  for (const [name, method, least] of shown) {
    const own = parts(knownConfigs[name], method, trainSettings({ learningRate: 1e-3 }));
    const [kept, again] = [false, true].map((recompute) => activations(own, recompute, 128));
    assert(kept > least * again, `${name} under ${method}: ${kept} bytes kept, ${again} otherwise`);
  }
});

Deno.test("parseBytes() reads units, and refuses what is no size", () => {
  const cases: [string, number][] = [["2GB", 2e9], ["1.5 GiB", 1.5 * 2 ** 30], ["512mb", 512e6], [
    "1000",
    1000,
  ]];
  for (const [text, bytes] of cases) assertEquals(parseBytes(text), bytes);
  for (const text of ["", "0", "GB", "-1", "2 TB", "1e9"]) {
    assertThrows(() => parseBytes(text), RangeError, "Cannot read");
  }
});
