/**
 * McNemar's exact test of two classifiers on the same examples, two-sided: where both err equally
 * often, each example that one alone gets right is either's with probability ½, so
 * p = min(1, 2·P(X ≤ min(b, c))) with X binomial of b + c trials (McNemar, Psychometrika 12, 1947;
 * exact form: Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013).
 *
 * @param b Examples that the first alone gets right.
 * @param c Examples that the second alone gets right.
 * @returns The p-value; 1 where b is c.
 * @throws RangeError where they are not whole numbers of at least 0.
 */
export function mcnemar(b: number, c: number): number {
  for (const count of [b, c]) {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`Cannot test ${b} against ${c}: must be whole numbers of at least 0`);
    }
  }
  const n = b + c;
  const least = Math.min(b, c);
  // Relative to P(X = least), whose logarithm is kept apart: 2^-n alone would underflow.
  let logTop = -n * Math.LN2;
  for (let k = 1; k <= least; k++) logTop += Math.log((n - k + 1) / k);
  let [term, sum] = [1, 0];
  for (let k = least; k >= 0 && term > 0; k--) {
    sum += term;
    term *= k / (n - k + 1);
  }
  return Math.min(1, 2 * Math.exp(logTop) * sum);
}
