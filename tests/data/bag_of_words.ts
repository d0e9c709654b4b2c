import type { Example } from "../../lib/data/example.ts";

/**
 * Accuracy of logistic regression on word counts, trained to convergence by gradient descent with a
 * small ridge penalty: what can be had without word order.
 */
export function bagOfWordsAccuracy(
  train: readonly Example[],
  validation: readonly Example[],
): { training: number; held: number } {
  const words = [...new Set(train.flatMap(({ text }) => text.split(" ")))];
  const place = new Map(words.map((word, i) => [word, i]));
  const features = (examples: readonly Example[]) =>
    examples.map(({ text }) =>
      text.split(" ").flatMap((word) => place.has(word) ? [place.get(word)!] : [])
    );
  const [seen, unseen] = [features(train), features(validation)];
  const weights = new Float64Array(words.length + 1);
  const score = (row: readonly number[]) =>
    row.reduce((sum, i) => sum + weights[i], weights[words.length]);
  for (let step = 0; step < 3000; step++) {
    const gradient = weights.map((weight) => 1e-4 * weight);
    seen.forEach((row, e) => {
      const error = (1 / (1 + Math.exp(-score(row))) - train[e].label) / train.length;
      for (const i of row) gradient[i] += error;
      gradient[words.length] += error;
    });
    weights.forEach((_, i) => weights[i] -= 0.5 * gradient[i]);
  }
  const accuracy = (rows: readonly (readonly number[])[], examples: readonly Example[]) =>
    rows.filter((row, e) => (score(row) > 0 ? 1 : 0) === examples[e].label).length / rows.length;
  return { training: accuracy(seen, train), held: accuracy(unseen, validation) };
}
