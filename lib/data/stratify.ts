import type { Example } from "./example.ts";
import { Random } from "./random.ts";

/**
 * Divides examples in two at random, each class in the same proportion (largest remainders), and
 * each class at least once on either side.
 *
 * @param size How many go to the first part.
 * @param seed With `stream` decides which.
 * @param stream Name of the random stream.
 * @returns Both parts, in the order in which the examples came.
 * @throws {RangeError} If the size leaves a class without an example on one side.
 */
export function splitStratified(
  examples: readonly Example[],
  size: number,
  seed: number,
  stream: string,
): [Example[], Example[]] {
  const classes = byClass(examples);
  if (!Number.isSafeInteger(size) || size < classes.length) {
    throw new RangeError(
      `Cannot take ${size} of ${examples.length} examples: a whole number is needed, ` +
        `at least one for each of ${classes.length} classes`,
    );
  }
  if (size > examples.length - classes.length || classes.some((own) => own.length < 2)) {
    throw new RangeError(
      `Cannot take ${size} of ${examples.length} examples: at least one of each of ` +
        `${classes.length} classes must stay`,
    );
  }
  const taken = draw(classes, size, seed, stream, 1);
  return [examples.filter((e) => taken.has(e)), examples.filter((e) => !taken.has(e))];
}

/**
 * A random sample in which each class has the same share as in the whole (largest remainders) and
 * stands at least once.
 *
 * @param size How many examples.
 * @param seed Decides which.
 * @returns The sample, in the order in which the examples came.
 * @throws {RangeError} If there are fewer examples, or fewer are asked for than there are classes.
 */
export function sampleStratified(
  examples: readonly Example[],
  size: number,
  seed: number,
): Example[] {
  const classes = byClass(examples);
  if (!Number.isSafeInteger(size) || size < classes.length || size > examples.length) {
    throw new RangeError(
      `Cannot sample ${size} training examples: from ${classes.length} (one for each class) ` +
        `to ${examples.length} (all of them) can be had`,
    );
  }
  const taken = draw(classes, size, seed, "train size", 0);
  return examples.filter((example) => taken.has(example));
}

function byClass(examples: readonly Example[]): Example[][] {
  const classes = Map.groupBy(examples, (example) => example.label);
  return [...classes].sort(([a], [b]) => a - b).map(([, own]) => own);
}

/** Draws from each class its share; at least `keep` of each class are left behind. */
function draw(classes: Example[][], size: number, seed: number, stream: string, keep: number) {
  const shares = allot(classes.map((own) => own.length), size, keep);
  return new Set(
    classes.flatMap((own, i) =>
      new Random(seed, stream, own[0].label).shuffle([...own]).slice(0, shares[i])
    ),
  );
}

/** Largest remainders; then whoever has nothing, or more than it may, trades with the largest. */
function allot(sizes: number[], total: number, keep: number): number[] {
  const all = sizes.reduce((a, b) => a + b, 0);
  const shares = sizes.map((size) => Math.floor(size * total / all));
  const remainder = (i: number) => sizes[i] * total % all;
  const order = sizes.map((_, i) => i).sort((a, b) => remainder(b) - remainder(a) || a - b);
  let open = total - shares.reduce((a, b) => a + b, 0);
  for (const i of order.slice(0, open)) shares[i]++;
  open = 0;
  for (let i = 0; i < sizes.length; i++) {
    const within = Math.min(Math.max(shares[i], 1), sizes[i] - keep);
    open += shares[i] - within;
    shares[i] = within;
  }
  const room = (i: number) => open > 0 ? sizes[i] - keep - shares[i] : shares[i] - 1;
  for (; open !== 0; open -= Math.sign(open)) {
    const most = sizes.reduce((best, _, i) => room(i) > room(best) ? i : best, 0);
    shares[most] += Math.sign(open);
  }
  return shares;
}
