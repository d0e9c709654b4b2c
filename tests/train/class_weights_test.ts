import { assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest } from "../check_op.ts";
import { llamaConfig, t5Config } from "../small_models.ts";
import { Session } from "../../lib/gpu/session.ts";
import { buildModel } from "../../lib/models/index.ts";
import { classWeights } from "../../lib/train/class_weights.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { makeTask } from "../../lib/train/task.ts";

const labels = ["no", "yes", "maybe"];
const of = (...classes: number[]) => classes.map((label) => ({ label }));

Deno.test("classWeights() are equal, balanced as scikit-learn's, or those given", () => {
  assertEquals(classWeights(null, labels, of(0, 1)), null);
  assertEquals(classWeights("balanced", labels, of(0, 0, 0, 1, 1, 2)), [6 / 9, 6 / 6, 6 / 3]);
  assertEquals(classWeights("balanced", labels, of(0, 0, 2)), [3 / 6, 0, 3 / 3]);
  assertEquals(classWeights({ maybe: 3, no: 1, yes: 2 }, labels, []), [1, 2, 3]);
  const wrong: Record<string, number>[] = [{ no: 1, yes: 2 }, { no: 1, yes: 2, other: 3 }];
  for (const given of wrong) {
    assertThrows(() => classWeights(given, labels, []), RangeError, "are no, yes, maybe");
  }
});

gpuTest("weighted cross-entropy is a mean by the weights of the batch's labels", async (gpu) => {
  const weights = [1, 3, 0.5];
  const words = { words: labels, ids: [[11], [100, 12], [31, 7, 9]] };
  const examples = [[0, 5], [1, 6], [1, 7], [2, 8], [0, 9]].map(([label, id]) => ({
    label,
    ids: [id, 40 + label, 1],
  }));
  for (const config of [t5Config, llamaConfig]) {
    const model = buildModel(config, { classes: 3, head: false });
    const lossesOf = async (given: readonly number[] | null, groups: readonly number[][]) => {
      const task = makeTask(model, 0, model.textToText ? words : null, given);
      const loss = task.loss({});
      const weight = task.weight(examples);
      const session = new Session(gpu);
      try {
        const program = session.program([loss], { B: 4, T: 4 }, [loss]);
        await session.build();
        for (const [name, x] of randomWeights(model.scope.select(), 2)) session.upload(name, x);
        const found: number[] = [];
        for (const indices of groups) {
          const rows = { examples: indices.map((i) => examples[i]), indices, size: 4, length: 4 };
          session.write(program, task.trainingInputs(rows, groups.length > 5 ? undefined : weight));
          session.run([program]);
          found.push((await session.read(program, [loss]))[0][0]);
        }
        return { found, task };
      } finally {
        session.destroy();
      }
    };
    // Each example by itself: its own mean, and (for several words) its number of labels.
    const single = examples.map((_, i) => [i]);
    const { found: own } = await lossesOf(null, [...single, [0]]);
    const sizes = examples.map(({ label }) => model.textToText ? [2, 3, 4][label] : 1);
    const w = examples.map(({ label }, i) => weights[label] * sizes[i]);
    const total = w.reduce((a, b) => a + b);
    const { found, task } = await lossesOf(weights, [[0, 1, 2], [3, 4]]);
    expectClose("weight", [task.weight(examples)], [total], 1e-12, 0);
    const expected = w.reduce((sum, x, i) => sum + x * own[i], 0) / total;
    expectClose("loss of two micro-batches", [found[0] + found[1]], [expected], 1e-6, 1e-5);
    const { found: even } = await lossesOf([2, 2, 2], [[0, 1, 2], [3, 4]]);
    const { found: plain } = await lossesOf(null, [[0, 1, 2], [3, 4]]);
    expectClose("equal weights", even, plain, 1e-6, 1e-6);
  }
});
