import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { methodLearningRate, trainSettings } from "../../lib/train/settings.ts";

Deno.test("trainSettings() fills defaults in and keeps what is given", () => {
  assertEquals(trainSettings({ learningRate: 0.1, clipNorm: null, epochs: 7 }), {
    optimizer: "adamw",
    scaleParameter: false,
    learningRate: 0.1,
    epochs: 7,
    batchSize: 32,
    microBatch: null,
    maxLength: 128,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weightDecay: 0.01,
    decay: "all",
    clipNorm: null,
    schedule: "linear",
    warmup: 0,
    frozenDropout: 0,
    classWeights: null,
    patience: null,
    metric: "accuracy",
    keep: "last",
  });
});

Deno.test("trainSettings() refuses bad values and unknown names", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ learningRate: 0 }, "Cannot use learningRate 0: must be a number above 0"],
    [{ learningRate: NaN }, "learningRate NaN"],
    [{ learningRate: "0.1" }, 'learningRate "0.1"'],
    [{ epochs: 0 }, "Cannot use epochs 0: must be a whole number of at least 1"],
    [{ epochs: 1.5 }, "epochs 1.5"],
    [{ batchSize: -4 }, "batchSize -4"],
    [{ maxLength: Infinity }, "maxLength Infinity"],
    [{ betas: [0.9, 1] }, "each at least 0 and below 1"],
    [{ betas: [0.9] }, "two numbers"],
    [{ eps: 0 }, "eps 0"],
    [{ weightDecay: -0.1 }, "must be a number of at least 0"],
    [{ decay: "some" }, "must be matrices or all"],
    [{ clipNorm: 0 }, "a number above 0, or none"],
    [{ schedule: "step" }, "must be linear, cosine or constant"],
    [{ warmup: -1 }, "warmup -1"],
    [{ warmup: 1.5 }, "steps, or a share of them"],
    [{ optimizer: "sgd" }, "must be adamw or adafactor"],
    [{ microBatch: 0 }, "at least 1, or none"],
    [{ microBatch: 33 }, "Cannot use microBatch 33: a batch has 32 examples"],
    [{ batchSize: 4, microBatch: 8 }, "a batch has 4 examples"],
    [{ scaleParameter: true }, "Cannot scale the rate by parameter with adamw"],
    [{ classWeights: "even" }, "none, balanced, or a number above 0"],
    [{ classWeights: { 0: 1, 1: 0 } }, "none, balanced, or a number above 0"],
    [{ classWeights: {} }, "none, balanced, or a number above 0"],
    [{ patience: 0 }, "whole number of epochs of at least 1, or none"],
    [{ patience: 2, epochs: 0 }, "Cannot use epochs 0"],
    [{ metric: "auc" }, "must be accuracy, f1 or loss"],
    [{ keep: "all" }, "must be best or last"],
    [{ frozenDropout: 1 }, "below 1"],
    [{ lerningRate: 1 }, 'Cannot use setting "lerningRate": no such setting; use learningRate'],
    [{ toString: 1 }, "no such setting"],
  ];
  for (const [values, message] of cases) {
    assertThrows(() => trainSettings({ learningRate: 1, ...values }), Error, message);
  }
});

Deno.test("methodLearningRate() is the published recipe's", () => {
  assertEquals(methodLearningRate("zero_shot"), null);
  assertEquals(methodLearningRate("head"), 1e-2);
  assertEquals(methodLearningRate("full"), 1e-3);
  assertEquals(methodLearningRate("lora", { rank: 8 }), 5e-3);
  assertEquals(methodLearningRate("adapter", { bottleneck: 1 }), 5e-3);
  assertEquals(methodLearningRate("soft_prompt", { tokens: 1 }), 0.3);
  assertAlmostEquals(methodLearningRate("soft_prompt", { tokens: 10 })!, 0.0949, 1e-4);
  assertThrows(() => methodLearningRate("other"), TypeError, 'learning rate for "other"');
});
