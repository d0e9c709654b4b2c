/**
 * How a cell is trained: every hyper-parameter that is not a method's own, with defaults and checks.
 * Learning rates and AdamW defaults are those of the recipe that the README compares with.
 */

/** The training hyper-parameters of one run, fully resolved. */
export interface TrainSettings {
  /** Peak learning rate of AdamW; 0 for a method that trains nothing. */
  learningRate: number;
  /** Passes over the training examples; 0 for a method that trains nothing. */
  epochs: number;
  /** Examples per optimizer step. */
  batchSize: number;
  /** Tokens after which an input is cut, end-of-sequence token included. */
  maxLength: number;
  /** AdamW's running-average factors of gradient and squared gradient. */
  betas: readonly [number, number];
  /** AdamW's ε, added to the root of the squared-gradient average. */
  eps: number;
  /** Decoupled weight decay (Loshchilov & Hutter, 2019), multiplied by the learning rate. */
  weightDecay: number;
  /** What the decay touches: matrices alone, or biases, norms and prompts too. */
  decay: "matrices" | "all";
  /** Largest global gradient norm; null leaves gradients as they are. */
  clipNorm: number | null;
  /** Learning rate over steps: falling linearly to 0, or constant (both after the warm-up). */
  schedule: "linear" | "constant";
  /** Optimizer steps of linear warm-up from 0. */
  warmupSteps: number;
  /** Dropout probability inside the frozen base. */
  frozenDropout: number;
}

/** Every setting's default but the learning rate's, which belongs to the method. */
export const defaultTrainSettings: Readonly<Omit<TrainSettings, "learningRate">> = {
  epochs: 3,
  batchSize: 32,
  maxLength: 128,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0.01,
  decay: "all",
  clipNorm: 1,
  schedule: "linear",
  warmupSteps: 0,
  frozenDropout: 0,
};

type Check = (value: unknown) => boolean;

const isNumber = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value);
const positive: Check = (value) => isNumber(value) && value > 0;
const notNegative: Check = (value) => isNumber(value) && value >= 0;
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const share: Check = (value) => isNumber(value) && value >= 0 && value < 1;

const rules: Record<keyof TrainSettings, { check: Check; rule: string }> = {
  learningRate: { check: positive, rule: "a number above 0" },
  epochs: { check: count, rule: "a whole number of at least 1" },
  batchSize: { check: count, rule: "a whole number of at least 1" },
  maxLength: { check: count, rule: "a whole number of at least 1" },
  betas: {
    check: (value) => Array.isArray(value) && value.length === 2 && value.every(share),
    rule: "two numbers, each at least 0 and below 1",
  },
  eps: { check: positive, rule: "a number above 0" },
  weightDecay: { check: notNegative, rule: "a number of at least 0" },
  decay: { check: (value) => value === "matrices" || value === "all", rule: "matrices or all" },
  clipNorm: {
    check: (value) => value === null || positive(value),
    rule: "a number above 0, or none",
  },
  schedule: {
    check: (value) => value === "linear" || value === "constant",
    rule: "linear or constant",
  },
  warmupSteps: {
    check: (value) => value === 0 || count(value),
    rule: "a whole number of at least 0",
  },
  frozenDropout: { check: share, rule: "a number of at least 0 and below 1" },
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
    const found = typeof value === "number" ? String(value) : JSON.stringify(value);
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
  return { ...defaultTrainSettings, ...values };
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
    case "full":
      return 1e-3;
    default:
      throw new TypeError(
        `Cannot choose a learning rate for "${name}": no default is known for it; give lr`,
      );
  }
}
