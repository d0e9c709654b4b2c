import { shown as shownJson } from "../formats/strict_json.ts";
import type { Precision } from "../graph/precision.ts";
import { type Backend, backends } from "../infer/backend.ts";
import { defaultExecution, type Execution } from "../train/execution.ts";
import { checkTrainSetting, type TrainSettings } from "../train/settings.ts";
import {
  methodInfo,
  type MethodRegistry,
  type MethodRequest,
  parseMethods,
  resolveMethod,
} from "./method_spec.ts";
import type { CellsPerProgram } from "./packs.ts";
import { settingFlags } from "./setting_text.ts";

/** A whole comparison: what is trained on what, by which methods, with which settings and seeds. */
export interface Experiment extends Omit<Execution, "stepsPerSubmit"> {
  /** Folder of the base model, or `embedded` for the one that comes with the project. */
  base: string;
  /** Folder or file of the data, or `embedded`. */
  data: string;
  /** Requests, or text that {@linkcode parseMethods} reads. */
  methods: string | readonly MethodRequest[];
  /** Settings with several values; their product is run for every method. */
  axes: { readonly [K in keyof TrainSettings]?: readonly TrainSettings[K][] };
  /** One run of every cell for each seed. */
  seeds: readonly number[];
  /**
   * Flags of settings, and names of method options, that are chosen per method on the validation
   * split: the table shows each method once, with the best of its settings. Empty: all are shown.
   */
  choose: readonly string[];
  /** Configurations drawn at random from the grid, evenly over the methods; null takes all. */
  sample: number | null;
  /** Decides which. */
  sampleSeed: number;
  /** Seconds after which no further cell begins; methods take turns until then; null: no limit. */
  budget: number | null;
  /**
   * Successive halving: at each rung of epochs, one of so many settings of a method (those that
   * `choose` chooses between) goes on, the rest stop; null trains all to their end.
   */
  halving: number | null;
  /**
   * Cells that train in one program at most, where they may share one; auto: as many as are worth it
   * on the adapter. Their results do not depend on it.
   */
  cellsPerProgram: CellsPerProgram;
  /** Settings for all methods; what a method is given itself goes first. */
  settings: Partial<TrainSettings>;
  /** Training examples, drawn stratified by the seed; null takes all. */
  trainSize: number | null;
  /** Share of a single training file that becomes the validation split; null: see loadDataset. */
  split: number | null;
  /** Decides which examples that share is, each class in proportion. */
  splitSeed: number;
  /** Splits to measure; null takes validation and, where it has labels, test. */
  evaluate: readonly string[] | null;
  /** What measures the splits with the weights that are kept, when training is over. */
  evalBackend: Backend;
  /** Whether training examples that also stand in another split are removed. */
  dedupe: boolean;
  /** Name of the column with the text; null lets the data's form decide. */
  textColumn: string | null;
  /** Name of the column with the label; null lets the data's form decide. */
  labelColumn: string | null;
  /** Word for each label, by label or in class order; null: see {@linkcode resolveLabelWords}. */
  labelWords: Readonly<Record<string, string>> | readonly string[] | null;
  /** How classes are told; null: text-to-text where the base and the method can, else a head. */
  task: "classification" | "text-to-text" | null;
  /** Put before every text; null takes the base's usual one. */
  prefix: string | null;
  /** How weights and activations are stored. */
  precision: Precision;
  /** Folder of a saved delta of the one method, whose values replace the seeded ones; null: none. */
  start: string | null;
  /** Folder that receives the runs and tables. */
  out: string;
}

/** An experiment whose methods are read and whose every value is checked. */
export interface ResolvedExperiment extends Experiment {
  /** The methods, every option resolved. */
  methods: readonly MethodRequest[];
}

const text = (value: unknown): boolean => typeof value === "string" && value !== "";
const textOrNull = (value: unknown): boolean => value === null || text(value);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const distinct = (values: readonly unknown[]): boolean => new Set(values).size === values.length;
const seed = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;

const rules: Record<keyof Experiment, { check: (value: unknown) => boolean; rule: string }> = {
  base: { check: text, rule: "a folder, or embedded" },
  data: { check: text, rule: "a folder or file, or embedded" },
  methods: {
    check: (value) => text(value) || (Array.isArray(value) && value.length > 0),
    rule: "text such as lora:rank=8, or a list of at least one method",
  },
  axes: { check: isObject, rule: "an object of settings, each with a list of values" },
  seeds: {
    check: (value) =>
      Array.isArray(value) && value.length > 0 && value.every(seed) && distinct(value),
    rule: "different whole numbers from 0 to 4294967295, at least one",
  },
  choose: {
    check: (value) => Array.isArray(value) && value.every(text) && distinct(value),
    rule: "different names of settings or options",
  },
  sample: {
    check: (value) => value === null || (Number.isSafeInteger(value) && (value as number) > 0),
    rule: "a whole number of at least 1",
  },
  sampleSeed: { check: seed, rule: "a whole number from 0 to 4294967295" },
  budget: {
    check: (value) =>
      value === null || (typeof value === "number" && value > 0 && Number.isFinite(value)),
    rule: "a number of seconds above 0",
  },
  halving: {
    check: (value) => value === null || (Number.isSafeInteger(value) && (value as number) > 1),
    rule: "a whole number of at least 2",
  },
  cellsPerProgram: {
    check: (value) => value === "auto" || (Number.isSafeInteger(value) && (value as number) > 0),
    rule: "auto, or a whole number of at least 1",
  },
  settings: { check: isObject, rule: "an object of settings" },
  trainSize: {
    check: (value) => value === null || (Number.isSafeInteger(value) && (value as number) > 0),
    rule: "a whole number of at least 1",
  },
  split: {
    check: (value) => value === null || (typeof value === "number" && value > 0 && value < 1),
    rule: "a number between 0 and 1",
  },
  splitSeed: { check: seed, rule: "a whole number from 0 to 4294967295" },
  evaluate: {
    check: (value) =>
      value === null || (Array.isArray(value) && value.length > 0 && distinct(value) &&
        value.every((name) => ["train", "validation", "test"].includes(name))),
    rule: "different ones of train, validation and test",
  },
  evalBackend: {
    check: (value) => backends.some((one) => one === value),
    rule: backends.join(" or "),
  },
  dedupe: { check: (value) => typeof value === "boolean", rule: "true or false" },
  textColumn: { check: textOrNull, rule: "a column's name" },
  labelColumn: { check: textOrNull, rule: "a column's name" },
  labelWords: {
    check: (value) => {
      if (value === null) return true;
      if (!Array.isArray(value) && !isObject(value)) return false;
      const words = Object.values(value);
      return words.length >= 2 && words.every(text) && distinct(words);
    },
    rule: "different words, one for each of at least two labels",
  },
  task: {
    check: (value) => [null, "classification", "text-to-text"].includes(value as string | null),
    rule: "classification or text-to-text",
  },
  prefix: { check: (value) => value === null || typeof value === "string", rule: "a text" },
  precision: { check: (value) => value === "f32" || value === "f16", rule: "f32 or f16" },
  recompute: {
    check: (value) => ["auto", "always", "never"].includes(value as string),
    rule: "auto, always or never",
  },
  keepFeatures: { check: (value) => value === "auto" || value === "never", rule: "auto or never" },
  tune: {
    check: (value) =>
      value === "auto" || value === "never" ||
      (typeof value === "number" && value > 0 && Number.isFinite(value)),
    rule: "auto, never or a number of seconds above 0",
  },
  memory: {
    check: (value) => value === null || (Number.isSafeInteger(value) && (value as number) > 0),
    rule: "a whole number of bytes of at least 1",
  },
  checkpoint: {
    check: (value) => {
      if (value === null) return true;
      if (!isObject(value) || Object.keys(value).length !== 1) return false;
      const { steps, seconds } = value;
      if (steps !== undefined) return Number.isSafeInteger(steps) && (steps as number) > 0;
      return Number.isFinite(seconds) && (seconds as number) > 0;
    },
    rule: 'an object with a number above zero, as in {"steps":500} or {"seconds":120}, or null',
  },
  start: { check: textOrNull, rule: "a folder" },
  out: { check: text, rule: "a folder" },
};

/**
 * Checks one value of an experiment.
 *
 * @param shown Name to use in the error, for instance a command-line flag
 * @throws {TypeError} When an experiment has no such value
 * @throws {RangeError} When the value breaks its rule
 */
export function checkExperimentValue(key: string, value: unknown, shown: string = key): void {
  if (!Object.hasOwn(rules, key)) {
    throw new TypeError(
      `Cannot use "${shown}" in an experiment: no such value; use ${Object.keys(rules).join(", ")}`,
    );
  }
  const { check, rule } = rules[key as keyof Experiment];
  if (!check(value)) {
    throw new RangeError(`Cannot use ${shown} ${shownJson(value)}: must be ${rule}`);
  }
}

/** Fills in what an experiment leaves out: base and data embedded, seed 0, runs in `runs`. */
export function sweep(
  partial: Partial<Experiment> & Pick<Experiment, "methods">,
): Experiment {
  return {
    base: "embedded",
    data: "embedded",
    axes: {},
    seeds: [0],
    choose: ["lr"],
    sample: null,
    sampleSeed: 0,
    budget: null,
    halving: null,
    cellsPerProgram: "auto",
    settings: {},
    trainSize: null,
    split: null,
    splitSeed: 0,
    evaluate: null,
    evalBackend: "webgpu",
    dedupe: false,
    textColumn: null,
    labelColumn: null,
    labelWords: null,
    task: null,
    prefix: null,
    precision: "f32",
    ...defaultExecution,
    start: null,
    out: "runs",
    ...partial,
  };
}

/**
 * Checks every value of an experiment and reads its methods.
 *
 * @throws {TypeError} When a method, option or setting is unknown
 * @throws {RangeError} When a value breaks its rule
 */
export function resolveExperiment(
  experiment: Experiment,
  registry: MethodRegistry,
): ResolvedExperiment {
  for (const [key, value] of Object.entries(experiment)) checkExperimentValue(key, value);
  for (const [key, value] of Object.entries(experiment.settings)) checkTrainSetting(key, value);
  for (const [key, values] of Object.entries(experiment.axes)) {
    if (!Array.isArray(values) || values.length === 0) {
      throw new RangeError(
        `Cannot use axis ${key} ${shownJson(values)}: must be a list of at least one value`,
      );
    }
    for (const value of values) checkTrainSetting(key, value);
  }
  const methods = typeof experiment.methods === "string"
    ? parseMethods(experiment.methods, registry)
    : experiment.methods.map((request) => resolveRequest(request, registry));
  for (const { name, settings } of methods) {
    if (name === "zero_shot" && Object.keys(settings ?? {}).length > 0) {
      throw new TypeError(`Cannot give zero_shot training settings: it trains nothing`);
    }
  }
  const options = new Set(methods.flatMap(({ options }) => Object.keys(options)));
  for (const name of experiment.choose) {
    if (options.has(name) || Object.hasOwn(settingFlags, name)) continue;
    throw new TypeError(
      `Cannot choose "${
        name.slice(0, 200)
      }": neither a setting nor an option of these methods; use ` +
        [...Object.keys(settingFlags), ...options].join(", "),
    );
  }
  return { ...experiment, methods };
}

/** The object may come from a file: nothing about it is sure. */
function resolveRequest(request: unknown, registry: MethodRegistry): MethodRequest {
  if (!isObject(request) || typeof request.name !== "string") {
    throw new TypeError(
      `Cannot read method ${shownJson(request)}: must be an object with a name`,
    );
  }
  const { name, options = {}, settings = {}, ...rest } = request;
  methodInfo(name, registry);
  const known = "name, options, settings";
  for (const key of Object.keys(rest)) {
    throw new TypeError(`Cannot use "${key}" for method ${name}: no such value; use ${known}`);
  }
  for (const [key, value] of Object.entries({ options, settings })) {
    if (!isObject(value)) {
      throw new TypeError(
        `Cannot use ${key} ${shownJson(value)} of ${name}: must be an object`,
      );
    }
  }
  for (const [key, value] of Object.entries(options as object)) {
    if (!["number", "string", "boolean"].includes(typeof value)) {
      throw new TypeError(
        `Cannot use option ${key} ${shownJson(value)} of ${name}: ` +
          `must be a number, text, true or false`,
      );
    }
  }
  for (const [key, value] of Object.entries(settings as object)) {
    checkTrainSetting(key, value, `${name}'s ${key}`);
  }
  return {
    ...resolveMethod({ name, options: options as MethodRequest["options"] }, registry),
    settings: settings as Partial<TrainSettings>,
  };
}
