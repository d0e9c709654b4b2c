import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { classificationMetrics, confusionMatrix, splitMetrics } from "../../lib/train/metrics.ts";

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

Deno.test("classificationMetrics() of four unequal classes, by hand", () => {
  // Label: predictions. 0: 0 0 0 1 | 1: 1 0 | 2: 2 2 1 | 3: none of its own, and one of class 1's.
  const labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
  const predictions = [0, 0, 0, 1, 1, 0, 3, 2, 2, 1];
  const metrics = classificationMetrics(labels, predictions, 4);
  assertEquals(metrics.confusion, [[3, 1, 0, 0], [1, 1, 0, 1], [0, 1, 2, 0], [0, 0, 0, 0]]);
  const close = (found: object, expected: object) =>
    Object.entries(expected).forEach(([key, value]) =>
      assertAlmostEquals((found as Record<string, number>)[key], value, 1e-15, key)
    );
  assertEquals(metrics.perClass.map(({ support }) => support), [4, 3, 3, 0]);
  close(metrics.perClass[0], { precision: 3 / 4, recall: 3 / 4, f1: 3 / 4 });
  close(metrics.perClass[1], { precision: 1 / 3, recall: 1 / 3, f1: 1 / 3 });
  close(metrics.perClass[2], { precision: 1, recall: 2 / 3, f1: 4 / 5 });
  close(metrics.perClass[3], { precision: 0, recall: 0, f1: 0 }); // zero_division 0
  close(metrics.macro, {
    precision: (3 / 4 + 1 / 3 + 1) / 4,
    recall: (3 / 4 + 1 / 3 + 2 / 3) / 4,
    f1: (3 / 4 + 1 / 3 + 4 / 5) / 4,
  });
  close(metrics.weighted, {
    precision: (4 * 3 / 4 + 3 * 1 / 3 + 3 * 1) / 10,
    recall: (4 * 3 / 4 + 3 * 1 / 3 + 3 * 2 / 3) / 10,
    f1: (4 * 3 / 4 + 3 * 1 / 3 + 3 * 4 / 5) / 10,
  });
  close(metrics, { ...metrics.macro, accuracy: 6 / 10 });
});

Deno.test("classificationMetrics() of two classes have macro and weighted means besides", () => {
  const metrics = classificationMetrics([1, 1, 1, 0], [1, 0, 0, 0], 2);
  assertAlmostEquals(metrics.f1, 1 / 2, 1e-15);
  assertAlmostEquals(metrics.macro.f1, (1 / 2 + 1 / 2) / 2, 1e-15);
  assertAlmostEquals(metrics.macro.precision, (1 / 3 + 1) / 2, 1e-15);
  assertAlmostEquals(metrics.weighted.precision, (1 * 1 / 3 + 3 * 1) / 4, 1e-15);
  assertAlmostEquals(metrics.weighted.recall, metrics.accuracy, 1e-15);
});

Deno.test("splitMetrics() takes the largest score, and the loss of the label's", () => {
  const scores = [[Math.log(3), 0], [2, 2], [0, Math.log(4)]];
  const metrics = splitMetrics([0, 1, 1], scores, 2);
  assertEquals([metrics.examples, metrics.confusion], [3, [[1, 0], [1, 1]]]);
  const expected = -(Math.log(3 / 4) + Math.log(1 / 2) + Math.log(4 / 5)) / 3;
  assertAlmostEquals(metrics.loss, expected, 1e-15);
  // Scores far from 0 do not overflow.
  assertAlmostEquals(splitMetrics([0], [[1000, 998]], 2).loss, Math.log(1 + Math.exp(-2)), 1e-12);
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
