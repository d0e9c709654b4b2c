import { Random } from "../random.ts";
import { type CorruptedSpans, corruptSpans } from "../span_corruption.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { pick } from "./grammar.ts";
import { pretrainingSentence, pretrainingTask, TASK_STAGES } from "./pretraining_text.ts";

/** How the embedded base's pretraining batches are drawn. */
export interface PretrainingPlan {
  readonly seed: number;
  /** Steps of the whole pretraining; the tasks get harder along them. */
  readonly steps: number;
  readonly batchSize: number;
  /** Share of task pairs in a batch, the rest being corrupted spans; 0.6 by default. */
  readonly taskShare?: number;
}

/**
 * Unlabelled sentences, and task pairs of each stage. A corpus of limited size: a small model finds
 * the rule of a contrast sooner where pairs come back than where it sees each only once.
 */
const CORPUS_SIZE = 20_000;

/**
 * Batches for the embedded base: span corruption of unlabelled sentences, mixed with text-to-text
 * tasks (Raffel et al., 2020, §3.5.3: multi-task pretraining).
 *
 * @param tokenizer The embedded one: appends the end of sequence and has sentinels.
 * @returns The pairs of a step: a function of plan and step alone.
 * @throws {TypeError} If the tokenizer has no end of sequence.
 */
export function pretrainingBatches(
  tokenizer: Tokenizer,
  { seed, steps, batchSize, taskShare = 0.6 }: PretrainingPlan,
): (step: number) => CorruptedSpans[] {
  const eosId = tokenizer.eosId;
  if (eosId === undefined) {
    throw new TypeError("Cannot pretrain: the tokenizer has no end of sequence");
  }
  const sentinels: number[] = [];
  for (let id; (id = tokenizer.tokenToId(`<extra_id_${sentinels.length}>`)) !== undefined;) {
    sentinels.push(id);
  }
  const random = new Random(seed, "pretraining", "corpus");
  const corpus = <T>(make: () => T): T[] => Array.from({ length: CORPUS_SIZE }, make);
  const sentences = corpus(() => tokenizer.encode(pretrainingSentence(random)));
  const stages = TASK_STAGES.map(({ from, mix }) => ({
    from,
    pairs: corpus(() => {
      const { input, target } = pretrainingTask(random, mix);
      return { input: tokenizer.encode(input), target: tokenizer.encode(target) };
    }),
  }));
  const tasks = Math.round(batchSize * taskShare);
  return (step) => {
    const random = new Random(seed, "pretraining", step);
    const { pairs } = stages.findLast(({ from }) => step / steps >= from)!;
    return Array.from(
      { length: batchSize },
      (_, row) =>
        row < tasks
          ? pick(random, pairs)
          : corruptSpans(pick(random, sentences), { sentinels, eosId, random }),
    );
  };
}
