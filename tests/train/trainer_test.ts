import { assert, assertEquals, assertRejects } from "@std/assert";
import { expectClose, gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { buildModel } from "../../lib/models/index.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { type TrainSettings, trainSettings } from "../../lib/train/settings.ts";
import { type Encoded, exampleInput, makeTask } from "../../lib/train/task.ts";
import { type EpochDecision, type EpochOutcome, train } from "../../lib/train/trainer.ts";

/** Labels in words of unequal length, so that a batch's labels are not its examples. */
const WORDS = { words: ["no", "yes", "maybe"], ids: [[11], [100, 12], [31, 7, 9]] };

/** Examples of 3 to 12 tokens: two buckets, and a class that the first token tells. */
function examples(count: number): Encoded[] {
  const random = new Random(5, "examples");
  return Array.from({ length: count }, () => {
    const label = random.below(3);
    const ids = Array.from({ length: 3 + random.below(10) }, () => 40 + random.below(80));
    return { ids: [10 + label, ...ids], label };
  });
}

interface Setup {
  readonly config?: Record<string, unknown>;
  readonly method?: string;
  readonly options?: MethodOptions;
  readonly settings?: Partial<TrainSettings>;
  readonly seed?: number;
  readonly train?: readonly Encoded[];
  readonly splits?: Record<string, readonly Encoded[]>;
  readonly weights?: readonly number[];
  readonly onEpoch?: (epoch: EpochOutcome) => EpochDecision | void;
}

async function run(gpu: Gpu, setup: Setup) {
  const { config = t5Config, method = "lora", seed = 3 } = setup;
  const { needsHead, parse } = methods[method];
  const model = buildModel(config, { classes: 3, head: needsHead });
  const attached = attachMethod(model, methods[method], parse(setup.options ?? {}));
  const losses: number[] = [];
  const scores: EpochOutcome["scores"][] = [];
  const outcome = await train({
    gpu,
    model,
    attached,
    task: makeTask(model, 0, model.textToText ? WORDS : null, setup.weights ?? null),
    // Adam divides by the gradient's own size, and a gradient near 0 is little but rounding.
    settings: trainSettings({
      learningRate: 0.05,
      eps: 1e-3,
      batchSize: 6,
      epochs: 2,
      ...setup.settings,
    }),
    seed,
    weights: randomWeights(model.scope.select(), 1),
    train: setup.train ?? examples(20),
    validation: examples(30).slice(20),
    splits: setup.splits,
    onEpoch: (epoch) => {
      losses.push(...epoch.losses);
      scores.push(epoch.scores);
      return setup.onEpoch?.(epoch);
    },
  });
  return { ...outcome, losses, scores };
}

for (const [family, config] of [["T5", t5Config], ["Llama", llamaConfig]] as const) {
  gpuTest(`${family}: micro-batches are the whole batch, short last ones included`, async (gpu) => {
    const setup = { config, options: { rank: 2, dropout: 0.3 } };
    const whole = await run(gpu, setup);
    assertEquals(whole.losses.length, 8); // Batches of 6, 6, 6 and 2, twice.
    const other = await run(gpu, { ...setup, seed: 4 });
    const distance = Math.max(...whole.losses.map((x, i) => Math.abs(x - other.losses[i])));
    assert(distance > 1e-2, `another seed's losses are only ${distance} away`);
    // 4: micro-batches of 4 and 2 of a batch of 6, and one of 2. Sums in another order differ in
    // the last bits of f32 (6e-8), which eight steps carry on; another mask would show a thousand
    // times as much (see above).
    for (const microBatch of [6, 4, 1]) {
      const found = await run(gpu, { ...setup, settings: { microBatch } });
      expectClose(`losses, ${microBatch}`, found.losses, whole.losses, 1e-5, 1e-5);
      for (const [name, { data }] of whole.trained) {
        expectClose(`${name}, ${microBatch}`, found.trained.get(name)!.data, data, 2e-5, 2e-5);
      }
      assertEquals(found.steps, 8);
      if (microBatch < 6) {
        assert(found.memory.activations < whole.memory.activations, "activations do not shrink");
      } else assertEquals(found.losses, whole.losses);
    }
  });
}

gpuTest("dropout's mask of an example is the same in every micro-batch", async (gpu) => {
  const B = symbol("B");
  const x = input("x", [B, 64], "f32");
  const mask = dropout(x, {
    probability: 0.5,
    site: "here",
    examples: exampleInput(),
    step: variable("step", [1], "control", "u32"),
    seed: variable("seed", [1], "control", "u32"),
  });
  const places = Uint32Array.of(9, 2, 30, 4, 17, 8);
  const masks = async (rows: number) => {
    const session = new Session(gpu);
    try {
      const program = session.program([mask], { B: rows }, [mask]);
      await session.build();
      session.upload("seed", Uint32Array.of(7));
      session.upload("step", Uint32Array.of(3));
      const parts: number[] = [];
      for (let at = 0; at < places.length; at += rows) {
        session.write(program, {
          x: new Float32Array(rows * 64).fill(1),
          examples: places.slice(at, at + rows),
        });
        session.run([program]);
        parts.push(...(await session.read(program, [mask]))[0]);
      }
      return parts;
    } finally {
      session.destroy();
    }
  };
  const whole = await masks(6);
  assert(new Set(whole).size === 2, `values of a mask: ${[...new Set(whole)]}`);
  assertEquals(await masks(2), whole);
  assertEquals(await masks(1), whole);
});

gpuTest(
  "train() keeps the epoch that it is told to, and stops where it is told to",
  async (gpu) => {
    const splits = { test: examples(44).slice(30) };
    const settings = { epochs: 4 };
    const first = await run(gpu, { settings: { ...settings, schedule: "constant" }, splits });
    const one = await run(gpu, {
      settings: { ...settings, schedule: "constant" },
      splits,
      onEpoch: ({ epoch }) => ({ keep: epoch === 2, stop: epoch === 3 }),
    });
    const two = await run(gpu, { settings: { epochs: 2, schedule: "constant" }, splits });
    assertEquals([first.epochs, one.epochs, one.steps, one.losses.length], [4, 3, 12, 12]);
    assertEquals(one.losses, first.losses.slice(0, 12));
    // What was kept after the second epoch is what two epochs leave, to the bit.
    for (const [name, { data }] of two.trained) assertEquals(one.trained.get(name)!.data, data);
    assertEquals(one.splits.test, two.splits.test);
    assertEquals(one.splits.test.length, 14);
    assert(one.splits.test.some((row, i) => row.some((x, c) => x !== first.splits.test[i][c])));
  },
);

gpuTest("Adafactor trains as AdamW does, with a smaller state in the plan", async (gpu) => {
  const settings: Partial<TrainSettings> = {
    optimizer: "adafactor",
    learningRate: 0.03,
    schedule: "constant",
    epochs: 8,
  };
  const found = await run(gpu, { method: "full", settings });
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  const [first, last] = [mean(found.losses.slice(0, 4)), mean(found.losses.slice(-4))];
  assert(last < first / 2, `the mean loss went from ${first} to ${last}`);
  const again = await run(gpu, { method: "full", settings });
  assertEquals(again.losses, found.losses);
  const scaled = await run(gpu, {
    method: "full",
    settings: { ...settings, scaleParameter: true },
  });
  assert(scaled.losses.some((loss, i) => loss !== found.losses[i]));
  const adamw = await run(gpu, { method: "full", settings: { epochs: 1 } });
  const state = [...found.trained.values()].map(({ shape }) =>
    (shape.length < 2 ? shape[0] : shape.slice(0, -1).reduce((a, b) => a * b) + shape.at(-1)!) + 132
  );
  const elements = [...found.trained.values()].reduce((sum, { data }) => sum + data.length, 0);
  assertEquals(found.memory.byRole.optimizer, 4 * state.reduce((a, b) => a + b));
  assertEquals(adamw.memory.byRole.optimizer, 8 * elements);
});

gpuTest("decay of matrices leaves biases, norms and prompts alone", async (gpu) => {
  const cases = [
    [t5Config, "full", /layer_norm|relative_attention_bias/],
    [bertConfig, "full", /LayerNorm|bias/],
    [t5Config, "soft_prompt", /prompt/],
  ] as const;
  for (const [config, method, alone] of cases) {
    const step = async (weightDecay: number) => {
      const settings = { epochs: 1, decay: "matrices", weightDecay } as const;
      return (await run(gpu, { config, method, settings, train: examples(6) })).trained;
    };
    const [without, decayed] = [await step(0), await step(0.5)];
    for (const [name, { data }] of without) {
      const same = decayed.get(name)!.data.every((x, i) => x === data[i]);
      // A vector is all of a parameter that is 1-D; a table of zeros has nothing to decay.
      const changes = !alone.test(name) && data.some((x) => x !== 0);
      assertEquals(same, !changes, name);
    }
  }
});

gpuTest("texts may fill all positions that a method leaves", async (gpu) => {
  const cases = [["head", {}, 23], ["prefix", { tokens: 4 }, 19], [
    "soft_prompt",
    { tokens: 4 },
    19,
  ]];
  for (const [method, options, longest] of cases as [string, MethodOptions, number][]) {
    const long = examples(6).map(({ ids, label }) => ({
      ids: Array.from({ length: longest }, (_, i) => ids[i % ids.length]),
      label,
    }));
    for (const config of [bertConfig, gpt2Config]) {
      const { losses } = await run(gpu, { config, method, options, train: long });
      assert(losses.length === 2 && losses.every(Number.isFinite), `${method}: ${losses}`);
    }
    const beyond = long.map(({ ids, label }) => ({ ids: [...ids, 40], label }));
    await assertRejects(
      () => run(gpu, { config: bertConfig, method, options, train: beyond }),
      RangeError,
      `Cannot choose a bucket for ${
        longest + 1
      } tokens: at least 1 is needed, and at most ${longest}`,
    );
  }
});

gpuTest("train() refuses a label that is no class", async (gpu) => {
  const wrong = [...examples(5), { ids: [5, 6], label: 3 }];
  for (const config of [t5Config, llamaConfig]) {
    await assertRejects(
      () => run(gpu, { config, train: wrong }),
      RangeError,
      "Cannot train on label 3: the classes are 0 to 2",
    );
  }
});
