import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import { checkPrecision } from "../../lib/gpu/adapter.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/precision.ts";
import type { RawConfig } from "../../lib/models/config.ts";
import { buildModel } from "../../lib/models/index.ts";
import { defaultLossScaling, type LossScaling } from "../../lib/ops/loss_scale.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { defaultExecution, type Execution } from "../../lib/train/execution.ts";
import { randomWeights, type WeightValues } from "../../lib/train/initialize.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";
import { type LossScale, train, type TrainRun } from "../../lib/train/trainer.ts";

const WORDS = { words: ["no", "yes"], ids: [[11], [100]] };

/** Sentences of 4 to 15 tokens; the class is told by which of two kinds of token is more frequent. */
function examples(count: number): Encoded[] {
  const random = new Random(11, "half precision");
  return Array.from({ length: count }, () => {
    const label = random.below(2);
    const length = 4 + random.below(12);
    const kind = () => random.uniform() < 0.75 ? label : 1 - label;
    return {
      ids: Array.from({ length }, () => (kind() === 0 ? 20 : 70) + random.below(45)),
      label,
    };
  });
}

interface Setup {
  readonly config: RawConfig;
  readonly precision: Precision;
  readonly method?: string;
  readonly options?: MethodOptions;
  readonly settings?: Partial<TrainSettings>;
  readonly count?: number;
  readonly seed?: number;
  readonly execution?: Execution;
  readonly lossScaling?: LossScaling;
  readonly weights?: (values: WeightValues) => WeightValues;
}

async function run(gpu: Gpu, setup: Setup) {
  const { config, method = "lora", options = {}, seed = 1 } = setup;
  const { needsHead, parse } = methods[method];
  const model = buildModel(config, { classes: 2, head: needsHead });
  const values = randomWeights(model.scope.select(), 1);
  const losses: number[] = [];
  const scales: (LossScale | undefined)[] = [];
  const given: TrainRun = {
    gpu,
    model,
    attached: attachMethod(model, methods[method], parse(options)),
    task: makeTask(model, 0, model.textToText ? WORDS : null),
    settings: trainSettings({ learningRate: 3e-3, batchSize: 8, epochs: 1, ...setup.settings }),
    seed,
    precision: setup.precision,
    lossScaling: setup.lossScaling,
    weights: setup.weights?.(values) ?? values,
    train: examples(setup.count ?? 40),
    validation: examples(8),
    execution: setup.execution,
    onEpoch: (epoch) => {
      losses.push(...epoch.losses);
      scales.push(epoch.lossScale);
    },
  };
  return { ...await train(given), losses, scales };
}

/** Mean absolute difference of two curves. */
const distance = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / a.length;

/** Means of 25 steps in a row: the batches' own differences, which two seeds draw, average out. */
const smooth = (losses: readonly number[]) =>
  losses.slice(24).map((_, i) => losses.slice(i, i + 25).reduce((a, b) => a + b) / 25);

gpuTest("GPT-2 with LoRA in f16 tracks its f32 twin over 200 steps", async (gpu) => {
  const setup = {
    config: { ...gpt2Config, n_embd: 32, n_head: 4, n_inner: 128 },
    options: { rank: 8, alpha: 16, dropout: 0.1 },
    settings: { epochs: 4 },
    count: 400,
  };
  const full = await run(gpu, { ...setup, precision: "f32" });
  const other = await run(gpu, { ...setup, precision: "f32", seed: 2 });
  const half = await run(gpu, { ...setup, precision: "f16" });
  assertEquals([full, other, half].map(({ losses }) => losses.length), [200, 200, 200]);
  for (const curve of [(losses: readonly number[]) => losses, smooth]) {
    const [twin, seeds] = [half, other].map(({ losses }) =>
      distance(curve(full.losses), curve(losses))
    );
    assert(twin > 0 && twin <= 0.1 * seeds, `f16 is ${twin} from f32, another seed ${seeds}`);
  }
  assert(smooth(half.losses).at(-1)! < 0.8 * smooth(half.losses)[0], "the loss does not fall");
  // No gradient overflows here, and the scale grows after 2,000 steps.
  const { initial } = defaultLossScaling;
  assertEquals(half.scales, new Array(4).fill({ scale: initial, skippedSteps: 0 }));
  assertEquals(full.scales, new Array(4).fill(undefined));
});

gpuTest("a scale that is too large skips steps, backs off, and training goes on", async (gpu) => {
  const lossScaling = { initial: 2 ** 24, growth: 2, backoff: 0.5, interval: 8 };
  const { losses, scales, trained } = await run(gpu, {
    config: llamaConfig,
    precision: "f16",
    lossScaling,
    settings: { epochs: 6, schedule: "constant" },
    count: 80,
  });
  const skipped = scales.map((state) => state!.skippedSteps);
  assert(skipped[0] >= 5 && skipped[0] < 10, `${skipped} of 10 steps of the first epoch`);
  assert(skipped.every((count, i) => i === 0 || count >= skipped[i - 1]), `${skipped}`);
  // It has grown since, or else were lower by now; and each time that was too much it fell again.
  const { scale, skippedSteps } = scales.at(-1)!;
  assert(skippedSteps < skipped[0] + 10, `${skippedSteps} steps skipped in all`);
  const grown = Math.log2(scale) - 24 + skippedSteps;
  assert(Number.isInteger(grown) && grown >= 3 && grown <= 6, `grown ${grown} times, to ${scale}`);
  // What is skipped still has a loss, and the same one for the same parameters and examples.
  assert(losses.every(Number.isFinite), `${losses}`);
  const mean = (part: readonly number[]) => part.reduce((a, b) => a + b) / part.length;
  assert(mean(losses.slice(-10)) < 0.9 * mean(losses.slice(0, 10)), `${losses}`);
  for (const [name, { data }] of trained) assert(data.every(Number.isFinite), name);
});

const families: Record<string, { config: RawConfig; method: string; options?: MethodOptions }> = {
  "T5, LoRA": { config: t5Config, method: "lora", options: { dropout: 0.2 } },
  "Llama, adapter": { config: llamaConfig, method: "adapter" },
  "GPT-2, full": { config: gpt2Config, method: "full" },
  "BERT, LoRA": { config: bertConfig, method: "lora" },
};

gpuTest("f16 gives the same bits again, also where blocks are computed again", async (gpu) => {
  for (const [name, setup] of Object.entries(families)) {
    const half: Setup = { ...setup, precision: "f16", settings: { frozenDropout: 0.1 } };
    const kept = await run(gpu, half);
    const again = await run(gpu, half);
    const execution: Execution = { ...defaultExecution, recompute: "always" };
    const recomputed = await run(gpu, { ...half, execution });
    const full = await run(gpu, { ...half, precision: "f32" });
    assertEquals(again.losses, kept.losses, name);
    assertEquals([...again.trained], [...kept.trained], name);
    assertEquals(recomputed.losses, kept.losses, `${name}, computed again`);
    assertEquals([...recomputed.trained], [...kept.trained], `${name}, computed again`);
    // Five steps from the same place: roundings of 2⁻¹¹ of values that the loss depends on.
    assert(distance(kept.losses, full.losses) < 5e-3, `${name}: ${kept.losses} ${full.losses}`);
    assert(distance(kept.losses, full.losses) > 0, `${name} is no different in f16`);
    assert(kept.memory.activations < 0.85 * full.memory.activations, name);
    const trains = setup.method === "full";
    assertEquals(kept.memory.byRole.weight < 0.6 * full.memory.byRole.weight, !trains, name);
  }
});

gpuTest(
  "PiSSA in f16 starts as the base does: what it subtracts is as exact as what trains",
  async (gpu) => {
    for (const config of [gpt2Config, t5Config]) {
      const first = async (options: MethodOptions) => {
        const setup: Setup = {
          config,
          precision: "f16",
          count: 8,
          options: { rank: 2, ...options },
        };
        return (await run(gpu, setup)).losses[0];
      };
      assertEquals(await first({ init: "pissa" }), await first({}));
    }
  },
);

gpuTest("a frozen weight that half precision cannot hold is refused by name", async (gpu) => {
  const name = "model.layers.1.mlp.up_proj.weight";
  const large = (values: WeightValues): WeightValues => {
    const own = values.get(name)!.slice();
    own[5] = -70000;
    return new Map([...values, [name, own]]);
  };
  const setup: Setup = { config: llamaConfig, precision: "f16", weights: large };
  await assertRejects(
    () => run(gpu, setup),
    RangeError,
    `Cannot store ${name} in half precision: element 5 is -70000, and the largest that fits is 65504`,
  );
  await run(gpu, { ...setup, precision: "f32", count: 8 });
  await run(gpu, { ...setup, method: "full", count: 8 });
});

Deno.test("checkPrecision() says what the adapter offers, and the way out", () => {
  const adapter = { description: "Plain card", features: ["timestamp-query"] };
  assertThrows(
    () => checkPrecision("f16", adapter),
    Error,
    "Cannot run with --precision f16: it takes the feature shader-f16, and Plain card offers timestamp-query; use --precision f32",
  );
  checkPrecision("f32", adapter);
  checkPrecision("f16", { ...adapter, features: ["shader-f16"] });
});
