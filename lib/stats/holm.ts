/**
 * p-values adjusted for being several (Holm, A Simple Sequentially Rejective Multiple Test
 * Procedure, Scandinavian Journal of Statistics 6, 1979): the i-th smallest of m becomes
 * max over j ≤ i of min(1, (m − j + 1)·p₍ⱼ₎). Rejecting those below a level errs anywhere with at
 * most that probability, however the tests depend on each other.
 *
 * @param values p-values, in any order.
 * @returns Adjusted ones, in the same order.
 * @throws RangeError where one is not from 0 to 1.
 */
export function holm(values: readonly number[]): number[] {
  for (const p of values) {
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Cannot adjust p-value ${p}: must be 0 to 1`);
  }
  const adjusted = new Array<number>(values.length);
  let largest = 0;
  [...values.keys()].sort((i, j) => values[i] - values[j]).forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (values.length - rank) * values[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}
