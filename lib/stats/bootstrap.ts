import { Random } from "../data/random.ts";
import type { Interval } from "./interval.ts";

/** What a method got right: one row for each seed, one byte for each example, 1 for right. */
export type Correctness = readonly Uint8Array[];

/** A difference of two methods' mean accuracies. */
export interface Difference extends Interval {
  /** First method's mean accuracy minus the second's. */
  readonly difference: number;
  /** Two-sided, of the difference being 0. */
  readonly p: number;
}

/** How the resampling is done. */
export interface BootstrapOptions {
  /** Decides the draws (0). */
  readonly seed?: number;
  /** Replicates; 10,000, fewer where more than 10,000 examples would take long, at least 2,000. */
  readonly replicates?: number;
  /** Of confidence (0.95). */
  readonly level?: number;
}

/**
 * Compares a method with others that ran with the same seeds on the same examples, by a bootstrap
 * that draws seeds and examples together, with replacement: every seed meets the same examples, so
 * that their accuracies are no independent samples of examples, and an interval over seeds alone
 * would be blind to the choice of examples.
 *
 * Drawing rows and columns of a table together counts the noise of single cells three times
 * (Owen, The Pigeonhole Bootstrap, Annals of Applied Statistics 1, 2007), and few seeds spread less
 * than the population they are from. So the replicates' deviations are scaled to the unbiased
 * variance of the mean by the two-way analysis of variance (Searle, Casella and McCulloch, Variance
 * Components, 1992), and each is divided by a draw of √(χ²/ν), ν by Satterthwaite (An Approximate
 * Distribution of Estimates of Variance Components, Biometrics 2, 1946), as a t is made of a normal
 * variable. The interval is that of their percentiles; p is the share of the deviations
 * that are as large as the difference itself, (count + 1)/(replicates + 1).
 *
 * In simulations at 872 examples, 95 % intervals covered the truth in 93 to 98 % at ten seeds, and in
 * 89 to 100 % at three, of which little can be known: most often they are then too wide.
 *
 * @param first One row for each seed, [seeds][examples].
 * @param others As many rows each, in the same order of seeds and examples.
 * @returns First minus other, for each of the others.
 * @throws TypeError where the shapes differ; RangeError on fewer than two seeds or examples.
 */
export function bootstrapDifferences(
  first: Correctness,
  others: readonly Correctness[],
  { seed = 0, replicates, level = 0.95 }: BootstrapOptions = {},
): Difference[] {
  const tables = others.map((other) => differences(first, other));
  if (tables.length === 0) return [];
  const { examples } = tables[0];
  const count = replicates ?? Math.min(10_000, Math.max(2_000, Math.round(1e8 / examples)));
  const random = new Random(seed, "bootstrap");
  const means = resample(first, others, count, random);
  return tables.map((table, k) => {
    const { mean, variance, freedom } = meanOfTable(table);
    if (variance === 0) {
      return { difference: mean, lower: mean, upper: mean, p: mean === 0 ? 1 : 1 / (count + 1) };
    }
    const deviations = means[k];
    let square = 0;
    for (let r = 0; r < count; r++) {
      deviations[r] -= mean;
      square += deviations[r] * deviations[r];
    }
    const scale = Math.sqrt(variance / (square / count));
    const least = Math.abs(mean) * (1 - 1e-12); // as large but for rounding
    let larger = 0;
    for (let r = 0; r < count; r++) {
      deviations[r] *= scale / Math.sqrt(2 * gamma(freedom / 2, random) / freedom);
      if (Math.abs(deviations[r]) >= least) larger++;
    }
    deviations.sort();
    const tail = (1 - level) / 2;
    return {
      difference: mean,
      // The deviations of the replicates stand for those of the estimate itself.
      lower: mean + deviations[Math.floor(tail * (count - 1))],
      upper: mean + deviations[Math.ceil((1 - tail) * (count - 1))],
      p: (larger + 1) / (count + 1),
    };
  });
}

/** The cells of a table of differences, where not all seeds of an example have 0. */
interface Table {
  readonly seeds: number;
  readonly examples: number;
  /** The examples that have such cells. */
  readonly differing: Uint32Array;
  /** [differing, seeds], each −1, 0 or 1. */
  readonly cells: Int8Array;
}

function differences(first: Correctness, second: Correctness): Table {
  const seeds = first.length;
  const examples = first[0]?.length ?? 0;
  if (second.length !== seeds || [...first, ...second].some((row) => row.length !== examples)) {
    throw new TypeError(
      `Cannot compare ${seeds} seeds with ${second.length}: both methods need the same seeds, and ` +
        `every seed the same examples`,
    );
  }
  if (seeds < 2 || examples < 2) {
    throw new RangeError(
      `Cannot resample ${seeds} seeds and ${examples} examples: two of each are needed; use ` +
        `McNemar's test for single runs`,
    );
  }
  const differing: number[] = [];
  const cells: number[] = [];
  for (let i = 0; i < examples; i++) {
    if (first.every((row, s) => row[i] === second[s][i])) continue;
    differing.push(i);
    for (let s = 0; s < seeds; s++) cells.push(first[s][i] - second[s][i]);
  }
  return { seeds, examples, differing: new Uint32Array(differing), cells: new Int8Array(cells) };
}

/** Mean of a table, with its unbiased variance where rows and columns are random, and ν of that. */
function meanOfTable(
  { seeds, examples, cells }: Table,
): { mean: number; variance: number; freedom: number } {
  const size = seeds * examples;
  const rows = new Float64Array(seeds);
  let [total, squares, columnSquares] = [0, 0, 0];
  for (let start = 0; start < cells.length; start += seeds) {
    let column = 0;
    for (let s = 0; s < seeds; s++) {
      const cell = cells[start + s];
      column += cell;
      rows[s] += cell;
      squares += cell * cell;
    }
    total += column;
    columnSquares += column * column;
  }
  // Sums of squares about the mean; sums of cells are whole, so that little is lost.
  const ofMean = total * total / size;
  const ofRows = rows.reduce((sum, row) => sum + row * row, 0) / examples - ofMean;
  const ofColumns = columnSquares / seeds - ofMean;
  const rest = Math.max(0, squares - ofMean - ofRows - ofColumns);
  const [rowFreedom, columnFreedom] = [seeds - 1, examples - 1];
  const restFreedom = rowFreedom * columnFreedom;
  const noise = rest / restFreedom;
  // A component of variance is not below 0, whatever its estimate.
  const row = Math.max(ofRows / rowFreedom, noise);
  const column = Math.max(ofColumns / columnFreedom, noise);
  const sum = row + column - noise;
  const spread = row ** 2 / rowFreedom + column ** 2 / columnFreedom + noise ** 2 / restFreedom;
  return { mean: total / size, variance: sum / size, freedom: sum ** 2 / spread };
}

/** Bytes of counts that a processor's cache holds. */
const CACHE = 2 ** 20;

/**
 * For each of the others, differences of means over as many seeds and examples, drawn with
 * replacement.
 *
 * How often an example is drawn in one replicate takes few bits, and so does a sum of these: a double
 * holds, and adds, those of several replicates at once, each in bits of its own.
 */
function resample(
  first: Correctness,
  others: readonly Correctness[],
  replicates: number,
  random: Random,
): Float64Array[] {
  const [seeds, examples] = [first.length, first[0].length];
  // A draw scaled to a range is biased by less than its size over 2³², far below the noise.
  const [seedScale, exampleScale] = [seeds / 2 ** 32, examples / 2 ** 32];
  const bits = Math.ceil(Math.log2(2 * examples + 1));
  const lanes = Math.max(1, Math.floor(53 / bits));
  const units = Float64Array.from({ length: lanes }, (_, lane) => 2 ** (bits * lane));
  const inverses = units.map((unit) => 1 / unit);
  /** All `examples`: what a difference of two sums is above 0 then. */
  const most = examples * units.reduce((sum, unit) => sum + unit, 0);
  const width = Math.max(4, Math.min(64, Math.floor(CACHE / (8 * examples))));
  const block = width * lanes;
  /** [examples, width]: how often each was drawn, of `lanes` replicates in one number. */
  const times = new Float64Array(examples * width);
  const seedTimes = new Int32Array(block * seeds);
  const firstSums = first.map(() => new Float64Array(width));
  const sums = new Float64Array(width);
  const totals = new Float64Array(block);
  const [firstPlaces, ...places] = [first, ...others].map((rows) =>
    rows.map((row) => wrongPlaces(row, width))
  );
  const means = others.map(() => new Float64Array(replicates));
  for (let start = 0; start < replicates; start += block) {
    const count = Math.min(block, replicates - start);
    times.fill(0);
    seedTimes.fill(0);
    for (let r = 0; r < count; r++) {
      const [column, unit] = [Math.floor(r / lanes), units[r % lanes]];
      for (let k = 0; k < seeds; k++) {
        seedTimes[r * seeds + Math.floor(random.uint32() * seedScale)]++;
      }
      for (let k = 0; k < examples; k++) {
        times[Math.floor(random.uint32() * exampleScale) * width + column] += unit;
      }
    }
    firstPlaces.forEach((own, s) => addRows(times, width, own, firstSums[s]));
    for (let k = 0; k < others.length; k++) {
      totals.fill(0);
      for (let s = 0; s < seeds; s++) {
        const ofFirst = firstSums[s];
        addRows(times, width, places[k][s], sums);
        for (let column = 0, r = 0; r < count; column++, r += lanes) {
          let packed = most + sums[column] - ofFirst[column];
          for (let lane = lanes - 1; lane > 0; lane--) {
            const part = Math.floor(packed * inverses[lane]);
            packed -= part * units[lane];
            totals[r + lane] += seedTimes[(r + lane) * seeds + s] * (part - examples);
          }
          totals[r] += seedTimes[r * seeds + s] * (packed - examples);
        }
      }
      for (let r = 0; r < count; r++) means[k][start + r] = totals[r] / (seeds * examples);
    }
  }
  return means;
}

/** The places in `times` of the examples that a row has wrong. */
function wrongPlaces(row: Uint8Array, width: number): Uint32Array {
  const wrong: number[] = [];
  row.forEach((right, example) => right === 0 && wrong.push(example * width));
  return new Uint32Array(wrong);
}

/** Sets sums to those of some rows. */
function addRows(
  rows: Float64Array,
  width: number,
  places: Uint32Array,
  sums: Float64Array,
): void {
  sums.fill(0);
  let i = 0;
  for (; i + 8 <= places.length; i += 8) {
    const [a, b, c, d] = [places[i], places[i + 1], places[i + 2], places[i + 3]];
    const [e, f, g, h] = [places[i + 4], places[i + 5], places[i + 6], places[i + 7]];
    for (let x = 0; x < width; x++) {
      sums[x] += ((rows[a + x] + rows[b + x]) + (rows[c + x] + rows[d + x])) +
        ((rows[e + x] + rows[f + x]) + (rows[g + x] + rows[h + x]));
    }
  }
  for (; i < places.length; i++) {
    const a = places[i];
    for (let x = 0; x < width; x++) sums[x] += rows[a + x];
  }
}

/**
 * A gamma variable of scale 1 (Marsaglia and Tsang, A Simple Method for Generating Gamma Variables,
 * ACM TOMS 26, 2000).
 */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < x * x / 2 + d - d * v + d * Math.log(v)) {
      return d * v;
    }
  }
}
