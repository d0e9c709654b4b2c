/** Seconds in each unit. */
const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * Reads a length of time such as `90s`, `20m`, `1.5h` or `2d`.
 *
 * @param text As written
 * @param shown How the error names it
 * @returns Seconds
 * @throws {RangeError} When it is none, or not above 0
 */
export function parseDuration(text: string, shown: string): number {
  const [, number, unit] = /^(\d+\.?\d*|\.\d+)([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * units[unit];
  if (seconds > 0) return seconds;
  throw new RangeError(`Cannot use ${shown} "${text}": must be a time such as 90s, 20m or 2h`);
}
