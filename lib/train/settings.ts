/**
 * How a cell is trained: every hyper-parameter that is not a method's own, with defaults and checks.
 * Learning rates and AdamW's defaults are those of the recipe that the README compares with.
 *
 * @module
 */

import { shown as shownJson } from "../formats/strict_json.ts";

/** The training hyper-parameters of one run, fully resolved. */
export interface TrainSettings {
  /** What takes the gradients' steps. */
  optimizer: "adamw" | "adafactor";
  /** Peak learning rate; 0 for a method that trains nothing. */
  learningRate: number;
  /** Whether Adafactor multiplies the rate by the root mean square of what it updates. */
  scaleParameter: boolean;
  /** Passes over the training examples; 0 for a method that trains nothing. */
  epochs: number;
  /** Examples per optimizer step. */
  batchSize: number;
  /** Examples on the device at once, whose gradients add up to a step's; null takes the batch. */
  microBatch: number | null;
  /** Tokens after which an input is cut, end-of-sequence token included. */
  maxLength: number;
  /** AdamW's running-average factors of gradient and squared gradient. */
  betas: readonly [number, number];
  /** AdamW's ε, added to the root of the squared-gradient average. */
  eps: number;
  /** Decoupled weight decay (Loshchilov & Hutter, 2019), multiplied by the learning rate. */
  weightDecay: number;
  /** What the decay touches: everything, or matrices alone (no decay on biases, norms, prompts). */
  decay: "matrices" | "all";
  /** Largest global gradient norm; null leaves gradients as they are. */
  clipNorm: number | null;
  /** Learning rate after the warm-up: falling to 0 linearly or as a cosine, or constant. */
  schedule: "linear" | "cosine" | "constant";
  /** Linear warm-up from 0: optimizer steps, or below 1 a share of all steps, rounded up. */
  warmup: number;
  /** Dropout probability inside the frozen base. */
  frozenDropout: number;
  /** Weight of each class in the loss: equal, N/(C·n) for a class of n examples, or by label. */
  classWeights: null | "balanced" | Readonly<Record<string, number>>;
  /** Epochs without a better {@link metric} after which training stops; null never stops early. */
  patience: number | null;
  /** What makes an epoch better, measured on the validation split. */
  metric: "accuracy" | "f1" | "loss";
  /** The epoch whose weights and predictions are kept: the best by {@link metric}, or the last. */
  keep: "best" | "last";
}

/** Every setting's default but the learning rate's, which belongs to the method. */
export const defaultTrainSettings: Readonly<Omit<TrainSettings, "learningRate">> = {
  optimizer: "adamw",
  scaleParameter: false,
  epochs: 3,
  batchSize: 32,
  microBatch: null,
  maxLength: 128,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0.01,
  decay: "all",
  clipNorm: 1,
  schedule: "linear",
  warmup: 0,
  frozenDropout: 0,
  classWeights: null,
  patience: null,
  metric: "accuracy",
  keep: "last",
};

type Check = (value: unknown) => boolean;

const isNumber = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value);
const positive: Check = (value) => isNumber(value) && value > 0;
const notNegative: Check = (value) => isNumber(value) && value >= 0;
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const share: Check = (value) => isNumber(value) && value >= 0 && value < 1;
const countOrNull: Check = (value) => value === null || count(value);
const oneOf = (...choices: string[]) => ({
  check: ((value) => choices.includes(value as string)) as Check,
  rule: `${choices.slice(0, -1).join(", ")} or ${choices[choices.length - 1]}`,
});
const isWeights: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.keys(value).length > 0 && Object.values(value).every(positive);

const rules: Record<keyof TrainSettings, { check: Check; rule: string }> = {
  learningRate: { check: positive, rule: "a number above 0" },
  optimizer: oneOf("adamw", "adafactor"),
  scaleParameter: { check: (value) => typeof value === "boolean", rule: "true or false" },
  epochs: { check: count, rule: "a whole number of at least 1" },
  batchSize: { check: count, rule: "a whole number of at least 1" },
  microBatch: { check: countOrNull, rule: "a whole number of at least 1, or none" },
  maxLength: { check: count, rule: "a whole number of at least 1" },
  betas: {
    check: (value) => Array.isArray(value) && value.length === 2 && value.every(share),
    rule: "two numbers, each at least 0 and below 1",
  },
  eps: { check: positive, rule: "a number above 0" },
  weightDecay: { check: notNegative, rule: "a number of at least 0" },
  decay: oneOf("matrices", "all"),
  clipNorm: {
    check: (value) => value === null || positive(value),
    rule: "a number above 0, or none",
  },
  schedule: oneOf("linear", "cosine", "constant"),
  warmup: {
    check: (value) => share(value) || count(value),
    rule: "a whole number of steps, or a share of them of at least 0 and below 1",
  },
  frozenDropout: { check: share, rule: "a number of at least 0 and below 1" },
  classWeights: {
    check: (value) => value === null || value === "balanced" || isWeights(value),
    rule: "none, balanced, or a number above 0 for each class, as in 0:1,1:3",
  },
  patience: { check: countOrNull, rule: "a whole number of epochs of at least 1, or none" },
  metric: oneOf("accuracy", "f1", "loss"),
  keep: oneOf("best", "last"),
};

/** The names of all training settings. */
export const trainSettingNames: readonly (keyof TrainSettings)[] = Object.keys(
  rules,
) as (keyof TrainSettings)[];

/**
 * Checks one setting's value.
 *
 * @param key Name of the setting
 * @param value The value to check
 * @param shown Name to use in the error, for instance a command-line flag
 * @throws {TypeError} When there is no such setting
 * @throws {RangeError} When the value breaks the setting's rule
 */
export function checkTrainSetting(key: string, value: unknown, shown: string = key): void {
  if (!Object.hasOwn(rules, key)) {
    throw new TypeError(
      `Cannot use setting "${shown}": no such setting; use ${trainSettingNames.join(", ")}`,
    );
  }
  const { check, rule } = rules[key as keyof TrainSettings];
  if (!check(value)) {
    const found = typeof value === "number" ? String(value) : shownJson(value);
    throw new RangeError(`Cannot use ${shown} ${found}: must be ${rule}`);
  }
}

/**
 * Fills the defaults in and checks every value.
 *
 * @throws {TypeError} When a name is unknown
 * @throws {RangeError} When a value breaks its rule
 */
export function trainSettings(
  values: Partial<TrainSettings> & { learningRate: number },
): TrainSettings {
  for (const [key, value] of Object.entries(values)) checkTrainSetting(key, value);
  const settings = { ...defaultTrainSettings, ...values };
  const { batchSize, microBatch, optimizer, scaleParameter } = settings;
  if (microBatch !== null && microBatch > batchSize) {
    throw new RangeError(
      `Cannot use microBatch ${microBatch}: a batch has ${batchSize} examples; ` +
        `use at most as many, or none`,
    );
  }
  if (scaleParameter && optimizer !== "adafactor") {
    throw new RangeError(
      `Cannot scale the rate by parameter with ${optimizer}: only adafactor does; ` +
        `leave scaleParameter out, or use optimizer adafactor`,
    );
  }
  return settings;
}

/**
 * A method's default learning rate for AdamW, or null for a method that trains nothing.
 * A soft prompt's falls with the root of its length: 0.3 for one token, about 0.1 for ten.
 *
 * @param name Name of the method
 * @param options The method's options; `tokens` is read for a soft prompt
 * @throws {TypeError} When no default is known for the method
 */
export function methodLearningRate(
  name: string,
  options: Readonly<Record<string, number | string | boolean>> = {},
): number | null {
  switch (name) {
    case "zero_shot":
      return null;
    case "head":
      return 1e-2;
    case "soft_prompt":
      return 0.3 / Math.sqrt(Number(options.tokens ?? 1));
    case "adapter":
    case "lora":
      return 5e-3;
    case "prefix":
      return 1e-2;
    case "bitfit":
    case "ia3":
    case "full":
      return 1e-3;
    default:
      throw new TypeError(
        `Cannot choose a learning rate for "${name}": no default is known for it; give lr`,
      );
  }
}
