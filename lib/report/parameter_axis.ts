/** A logarithmic axis of parameter counts, with a place for none. */
export interface ParameterAxis {
  /** Ends of the axis. */
  readonly domain: [number, number];
  /** Where ticks stand. */
  readonly ticks: readonly number[];
  /** Where a count stands. */
  place(count: number): number;
  /** Text of a tick. */
  format(tick: number): string;
}

/** Counts as short as ticks are: 10k, 3M. */
export function shortCount(count: number): string {
  const units: [number, string][] = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];
  const [size, unit] = units.find(([size]) => count >= size) ?? [1, ""];
  return `${Number((count / size).toPrecision(3))}${unit}`;
}

/** The axis of some counts; none stands half a decade or more to the left of the fewest. */
export function parameterAxis(counts: readonly number[]): ParameterAxis {
  const some = counts.filter((count) => count > 0);
  const [least, most] = some.length === 0 ? [1, 10] : [Math.min(...some), Math.max(...some)];
  const none = 10 ** (Math.floor(2 * Math.log10(least)) / 2 - 0.5);
  const low = some.length < counts.length ? none : least;
  const powers = [];
  for (let power = Math.ceil(Math.log10(least)); 10 ** power <= most; power++) {
    powers.push(10 ** power);
  }
  const ticks = powers.length >= 2 ? powers : [least, most];
  return {
    domain: [low, Math.max(most, low * 10)],
    ticks: low < least ? [none, ...ticks] : ticks,
    place: (count) => count > 0 ? count : none,
    format: (tick) => tick === none ? "none" : shortCount(tick),
  };
}
