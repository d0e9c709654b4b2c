/** Whether 95 % intervals hold what they are of 95 times in a hundred, by simulation. */
import { assert } from "@std/assert";
import { Random } from "../../lib/data/random.ts";
import { bootstrapDifferences } from "../../lib/stats/bootstrap.ts";
import { holm } from "../../lib/stats/holm.ts";
import { mcnemar } from "../../lib/stats/mcnemar.ts";
import { meanInterval } from "../../lib/stats/mean_interval.ts";
import type { Interval } from "../../lib/stats/interval.ts";
import { wilson } from "../../lib/stats/wilson.ts";

const TRIALS = 2000;
const EXAMPLES = 872;
const SEEDS = 10;
const P = 0.9;

/** Share of the trials whose interval holds the truth. */
function coverage(truth: number, interval: () => Interval): number {
  let held = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const { lower, upper } = interval();
    held += Number(lower <= truth && truth <= upper);
  }
  return held / TRIALS;
}

function assertCovers(share: number): void {
  assert(share >= 0.93 && share <= 0.97, `${(100 * share).toFixed(1)} % of the intervals hold it`);
}

/** Right answers of a run, example by example. */
function rights(random: Random): number {
  let count = 0;
  for (let i = 0; i < EXAMPLES; i++) count += Number(random.uint32() < P * 2 ** 32);
  return count;
}

Deno.test("Wilson's interval of one run covers its accuracy", () => {
  const random = new Random(0, "wilson coverage");
  assertCovers(coverage(P, () => wilson(rights(random), EXAMPLES)));
});

Deno.test("the t interval over ten seeds covers their mean accuracy", () => {
  const random = new Random(0, "t coverage");
  assertCovers(coverage(P, () => {
    // A seed is a little better or worse than the mean, by up to 2 points.
    const accuracies = Array.from({ length: SEEDS }, () => {
      const p = P + random.uniform(-0.02, 0.02);
      let count = 0;
      for (let i = 0; i < EXAMPLES; i++) count += Number(random.uint32() < p * 2 ** 32);
      return count / EXAMPLES;
    });
    return meanInterval(accuracies);
  }));
});

/** How far apart examples, methods on an example, seeds and single answers lie. */
interface Spread {
  /** Difficulty of an example for every method. */
  readonly example: number;
  /** What makes an example harder for one method than for another. */
  readonly method: number;
  /** How much better one seed is than another. */
  readonly seed: number;
}

/**
 * Two methods that are equally good over all examples and seeds, drawn anew: an answer is right
 * with a probability that rises with the method's ability on the example, less its difficulty.
 */
function twoMethods(
  random: Random,
  { example, method, seed }: Spread,
): [Uint8Array[], Uint8Array[]] {
  const NOISE = 0.3;
  const ability = 1.2816 * Math.hypot(example, method, seed, NOISE); // right nine times in ten
  const difficulty = Float64Array.from({ length: EXAMPLES }, () => example * random.normal());
  const draw = () => {
    const own = difficulty.map((value) => value + method * random.normal());
    return Array.from({ length: SEEDS }, () => {
      const level = ability + seed * random.normal();
      return Uint8Array.from(own, (hard) => {
        // The logistic distribution of this scale is nearly the normal one of deviation NOISE.
        const right = 1 / (1 + Math.exp(-1.7 * (level - hard) / NOISE));
        return Number(random.uint32() < right * 2 ** 32);
      });
    });
  };
  return [draw(), draw()];
}

Deno.test("the bootstrap over examples and ten seeds covers the difference of two methods", () => {
  const random = new Random(0, "bootstrap coverage");
  let overSeedsAlone = 0;
  assertCovers(coverage(0, () => {
    const [first, second] = twoMethods(random, { example: 1, method: 0.4, seed: 0.08 });
    const right = (row: Uint8Array) => row.reduce((sum, one) => sum + one, 0) / EXAMPLES;
    const { lower, upper } = meanInterval(first.map((row, s) => right(row) - right(second[s])));
    overSeedsAlone += Number(lower <= 0 && 0 <= upper);
    return bootstrapDifferences(first, [second], { replicates: 300, seed: random.uint32() })[0];
  }));
  // Why the bootstrap is there: a t interval over seeds is blind to the choice of examples.
  assert(overSeedsAlone < 0.9 * TRIALS, `${overSeedsAlone} of ${TRIALS}`);
});

Deno.test("McNemar's test with Holm's correction errs in at most 5 of 100 families", () => {
  const random = new Random(0, "families");
  let wrong = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    // Five runs beside a best one that is no better: 40 examples on which they disagree.
    const values = Array.from({ length: 5 }, () => {
      const b = Array.from({ length: 40 }).filter(() => random.uniform() < 0.5).length;
      return mcnemar(b, 40 - b);
    });
    wrong += Number(holm(values).some((p) => p <= 0.05));
  }
  assert(wrong / TRIALS <= 0.05, `${wrong} of ${TRIALS}`);
  assert(wrong > 0, "a test that never rejects is none");
});
