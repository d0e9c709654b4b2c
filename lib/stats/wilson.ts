import type { Interval } from "./interval.ts";

/** What a standard normal variable stays within with probability 0.95. */
const Z95 = 1.959963984540054;

/**
 * Wilson's score interval of a share (Wilson, Probable Inference, the Law of Succession, and
 * Statistical Inference, JASA 22, 1927): the shares p with |k/n − p| ≤ z·√(p(1 − p)/n).
 *
 * @param successes k, from 0 to n.
 * @param n Independent trials, at least 1.
 * @param z Standard normal quantile; that of 95 % unless given.
 * @throws RangeError where k or n is not such a number.
 */
export function wilson(successes: number, n: number, z: number = Z95): Interval {
  if (!(n >= 1 && successes >= 0 && successes <= n)) {
    throw new RangeError(
      `Cannot find an interval of ${successes} of ${n}: must be 0 to n of at least one`,
    );
  }
  const share = successes / n;
  const square = z * z / n;
  const middle = share + square / 2;
  const half = Math.sqrt(square * (share * (1 - share) + square / 4));
  // Exact at the ends, where rounding would pass them.
  return {
    lower: successes === 0 ? 0 : (middle - half) / (1 + square),
    upper: successes === n ? 1 : (middle + half) / (1 + square),
  };
}
