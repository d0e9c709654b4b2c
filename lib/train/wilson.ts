/** Quantile of the normal distribution that leaves 2.5 % on each side. */
const Z = 1.959963984540054;

/**
 * Wilson's 95 % interval of a share (Wilson, 1927, Probable inference, the law of succession, and
 * statistical inference): (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
 *
 * @param share Successes by trials, from 0 to 1.
 * @param count Trials n, at least 1.
 * @returns Lower and upper bound, within 0 and 1.
 */
export function wilson(share: number, count: number): [number, number] {
  const z2 = Z * Z;
  const centre = share + z2 / (2 * count);
  const half = Z * Math.sqrt(share * (1 - share) / count + z2 / (4 * count * count));
  const scale = 1 + z2 / count;
  return [Math.max(0, (centre - half) / scale), Math.min(1, (centre + half) / scale)];
}
