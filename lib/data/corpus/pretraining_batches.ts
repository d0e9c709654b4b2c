import { Random } from "../random.ts";
import { type CorruptedSpans, corruptSpans } from "../span_corruption.ts";
import type { Tokenizer } from "../tokenizer.ts";
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
 * Different unlabelled sentences, and task pairs of each stage. The corpus is of limited size since a
 * small model finds the rule of a contrast sooner where pairs come back than where each comes once.
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
  // An item of the corpus is a function of its number: nothing has to be kept.
  const item = (random: Random, part: string): Random =>
    new Random(seed, "pretraining", part, random.below(CORPUS_SIZE));
  const taskPair = (random: Random, stage: number): CorruptedSpans => {
    const { input, target } = pretrainingTask(
      item(random, `stage ${stage}`),
      TASK_STAGES[stage].mix,
    );
    return { input: tokenizer.encode(input), target: tokenizer.encode(target) };
  };
  const spanPair = (random: Random): CorruptedSpans => {
    const sentence = pretrainingSentence(item(random, "text"));
    return corruptSpans(tokenizer.encode(sentence), { sentinels, eosId, random });
  };
  const tasks = Math.round(batchSize * taskShare);
  return (step) => {
    const random = new Random(seed, "pretraining", step);
    const stage = TASK_STAGES.findLastIndex(({ from }) => step / steps >= from);
    return Array.from(
      { length: batchSize },
      (_, row) => row < tasks ? taskPair(random, stage) : spanPair(random),
    );
  };
}
