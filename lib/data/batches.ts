import { Random } from "./random.ts";

/** Examples of one batch, all padded to the same length. */
export interface PlannedBatch {
  /** Padded length, in tokens. */
  readonly bucketLength: number;
  /** Which examples, at most as many as a batch holds; missing rows are padded and masked. */
  readonly indices: number[];
}

/** How an epoch is cut into batches. */
export interface EpochPlan {
  /** Rows of a full batch. */
  readonly batchSize: number;
  readonly seed: number;
  /** Counted from 0; each epoch has its own order. */
  readonly epoch: number;
  /** Whether examples and batches are put in random order; true by default. */
  readonly shuffle?: boolean;
  /** As in {@linkcode bucketOf}. */
  readonly longest?: number;
}

/**
 * Length to which an example of this many tokens is padded: 8, 16, 24, or from there on 2^k or
 * 1.5 · 2^k (32, 48, 64, 96, 128, …). Few lengths, since each costs a compiled program, and less
 * than half as much padding as text from 9 tokens on.
 *
 * @param longest The length that no padding exceeds, where a model has no more positions.
 * @throws {RangeError} If the length is not a whole number from 1 to the longest.
 */
export function bucketOf(length: number, longest = Infinity): number {
  if (!Number.isSafeInteger(length) || length < 1 || length > longest) {
    throw new RangeError(
      `Cannot choose a bucket for ${length} tokens: at least 1 is needed` +
        (longest === Infinity ? "" : `, and at most ${longest}`),
    );
  }
  if (length <= 8) return Math.min(8, longest);
  let power = 16;
  while (power < length) power *= 2;
  return Math.min(power > 16 && length <= power * 3 / 4 ? power * 3 / 4 : power, longest);
}

/**
 * Cuts one epoch of training into ceil(n / batchSize) batches, each of one bucket.
 *
 * The examples, in the epoch's random order, are sorted into the buckets of their own lengths and
 * cut into batches there. What is left over in a bucket (fewer than a batch) goes to the front of
 * the next larger one that is in use; only the very last batch can be short. At the end the
 * batches' order is shuffled.
 *
 * @param lengths Tokens of each example.
 * @throws {RangeError} If the batch size or a length is below 1.
 */
export function planEpoch(
  lengths: readonly number[],
  { batchSize, seed, epoch, shuffle = true, longest }: EpochPlan,
): PlannedBatch[] {
  checkBatchSize(batchSize);
  const order = lengths.map((_, i) => i);
  if (shuffle) new Random(seed, "epoch", epoch, "examples").shuffle(order);
  const batches: PlannedBatch[] = [];
  let left: number[] = [];
  let last = 0;
  for (const [bucketLength, own] of byBucket(order, lengths, longest)) {
    const indices = [...left, ...own];
    const full = indices.length - indices.length % batchSize;
    batches.push(...cut(indices.slice(0, full), bucketLength, batchSize));
    left = indices.slice(full);
    last = bucketLength;
  }
  batches.push(...cut(left, last, batchSize));
  return shuffle ? new Random(seed, "epoch", epoch, "batches").shuffle(batches) : batches;
}

/**
 * Cuts examples into batches for evaluation: in their order, each in the bucket of its own length
 * and no other, so that its result does not depend on what else is evaluated; the last batch of
 * each bucket may be short.
 *
 * @param lengths Tokens of each example.
 * @param longest As in {@linkcode bucketOf}.
 * @throws {RangeError} If the batch size or a length is below 1.
 */
export function planEvaluation(
  lengths: readonly number[],
  batchSize: number,
  longest?: number,
): PlannedBatch[] {
  checkBatchSize(batchSize);
  return byBucket(lengths.map((_, i) => i), lengths, longest)
    .flatMap(([bucketLength, own]) => cut(own, bucketLength, batchSize));
}

function byBucket(
  order: number[],
  lengths: readonly number[],
  longest?: number,
): [number, number[]][] {
  const buckets = Map.groupBy(order, (i) => bucketOf(lengths[i], longest));
  return [...buckets].sort(([a], [b]) => a - b);
}

function cut(indices: number[], bucketLength: number, batchSize: number): PlannedBatch[] {
  const batches: PlannedBatch[] = [];
  for (let i = 0; i < indices.length; i += batchSize) {
    batches.push({ bucketLength, indices: indices.slice(i, i + batchSize) });
  }
  return batches;
}

function checkBatchSize(batchSize: number): void {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot cut batches of ${batchSize} examples: at least 1 is needed`);
  }
}
