import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { classificationMetrics, confusionMatrix } from "../../lib/train/metrics.ts";

Deno.test("classificationMetrics() of two classes are those of class 1", () => {
  // By hand: true positives 3, false positives 1, false negatives 2, true negatives 4.
  const labels = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
  const predictions = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
  const metrics = classificationMetrics(labels, predictions, 2);
  assertEquals(metrics.confusion, [[4, 1], [2, 3]]);
  assertEquals(metrics.accuracy, 0.7);
  assertEquals(metrics.precision, 3 / 4);
  assertEquals(metrics.recall, 3 / 5);
  assertAlmostEquals(metrics.f1, 2 / 3, 1e-15); // 2·3 / (2·3 + 1 + 2)
});

Deno.test("classificationMetrics() of three classes are unweighted means", () => {
  // By hand, per class: precision 2/3, 1/2, 1; recall 2/2, 1/2, 1/2; F1 4/5, 1/2, 2/3.
  const metrics = classificationMetrics([0, 0, 1, 1, 2, 2], [0, 0, 1, 0, 2, 1], 3);
  assertEquals(metrics.confusion, [[2, 0, 0], [1, 1, 0], [0, 1, 1]]);
  assertAlmostEquals(metrics.accuracy, 4 / 6, 1e-15);
  assertAlmostEquals(metrics.precision, (2 / 3 + 1 / 2 + 1) / 3, 1e-15);
  assertAlmostEquals(metrics.recall, (1 + 1 / 2 + 1 / 2) / 3, 1e-15);
  assertAlmostEquals(metrics.f1, (4 / 5 + 1 / 2 + 2 / 3) / 3, 1e-15);
});

Deno.test("classificationMetrics() counts nothing over nothing as 0", () => {
  const never = classificationMetrics([0, 0, 1], [0, 0, 0], 2);
  assertEquals([never.precision, never.recall, never.f1], [0, 0, 0]);
  const absent = classificationMetrics([0, 0], [0, 0], 2);
  assertEquals([absent.accuracy, absent.recall, absent.f1], [1, 0, 0]);
});

Deno.test("confusionMatrix() refuses what it cannot count", () => {
  const cases: [number[], number[], number, string][] = [
    [[0, 1], [0], 2, "Cannot compare 2 labels with 1 predictions"],
    [[], [], 2, "no examples"],
    [[0], [0], 1, "1 classes"],
    [[0, 2], [0, 1], 2, "Cannot count example 1: class 2"],
    [[0], [-1], 2, "class -1"],
    [[0.5], [0], 2, "class 0.5"],
  ];
  for (const [labels, predictions, classes, message] of cases) {
    assertThrows(() => confusionMatrix(labels, predictions, classes), Error, message);
  }
});
