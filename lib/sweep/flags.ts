import { parseArgs } from "@std/cli/parse-args";
import { parseCheckpointInterval } from "../train/checkpoint.ts";
import { parseBytes } from "../train/execution.ts";
import { ioReason } from "../formats/io_error.ts";
import { isJsonObject, parseStrictJson } from "../formats/strict_json.ts";
import type { TrainSettings } from "../train/settings.ts";
import {
  checkExperimentValue,
  type Experiment,
  type ResolvedExperiment,
  resolveExperiment,
  sweep,
} from "./experiment.ts";
import { spreadAxes } from "./method_axes.ts";
import { type MethodRegistry, type MethodRequest, readMethods } from "./method_spec.ts";
import { parseDuration } from "./parse_duration.ts";
import { isReference } from "./references.ts";
import { slurmUsage } from "./slurm/options.ts";
import { parseSetting, settingFlags, splitValues, textValue } from "./setting_text.ts";

/**
 * What `--help` prints.
 *
 * @param about What the command does, and how it is called.
 */
export function usage(about: string): string {
  return `${about}

  --base DIR            base model: config.json, model.safetensors, tokenizer.json;
                        or hf:ID@REVISION, once fetched
  --data DIR            data: GLUE-form TSV, CSV/TSV with named columns, or Parquet; or
                        hf:ID@REVISION, once fetched
  --methods "..."       for instance "lora:rank=1,8;lr=5e-3 adapter:bottleneck=8 full zero_shot":
                        options after a colon, separated by semicolons; several values by commas
  --seeds 0,1,2         one run of every cell for each seed
  --axes "..."          values for all methods that have them, for instance "rank,alpha=1:2,8:16;lr=1e-3":
                        names linked by commas, their values by colons
  --choose lr,...       settings or options of which each method is shown with its best on validation
                        (lr); none shows all
  --sample N            N configurations of the grid, drawn evenly over methods, each with all seeds
  --sample-seed N       decides which (0)
  --budget 20m          begin no cell after this time; methods take turns until then
  --halving N           at rungs of epochs, of the settings that --choose chooses between the best one
                        in N goes on, for each method; the rest stop there (successive halving)
  --cells-per-program auto|N   cells that train in one program at most, where they may share one; auto:
                        16, but 1 on a software adapter, which it saves less, and under --budget.
                        Of cells that share a program each has its share of the time alone
  --train-size N        training examples, drawn stratified by the seed
  --split 0.2           share of a single training file that becomes validation, stratified
  --split-seed N        decides which examples these are (0)
  --eval test,train     splits measured at the end besides validation (test, where it has labels)
  --eval-backend webgpu|ort   what measures the splits when training is over (webgpu); ort is ONNX
                        Runtime, to which ./tunegrid grants FFI where it is asked for
  --dedupe              remove training examples that also stand in another split
  --text-column NAME    --label-column NAME
  --label-words ...     "0=negative,1=positive", or words in class order
  --task classification|text-to-text   by a head, or in label words (words where the base can)
  --prefix TEXT         put before every text, for instance "sst2 sentence: "
  --precision f32|f16   how weights and activations are stored (f32); f16 takes an adapter that has it
  --start DIR           a saved delta of the method (of PEFT, AdapterHub, OpenDelta, or export --to
                        safetensors) that training goes on from
  --out DIR             folder of runs and tables (runs)
  --memory BYTES        budget for a run's memory on the device, for instance 2GB (no limit)
  --recompute auto|always|never   keep the borders of blocks alone for the backward pass and compute
                        the rest again; auto where a plan would not fit otherwise
  --keep-features auto|never   compute what no training changes once for each example and keep it on
                        the device, where that is worth it and fits (auto)
  --tune auto|never|SECONDS   measure which kernels are fastest and keep the choice in .cache/kernels, in
                        so many seconds; auto: 10 on a GPU, none on a software adapter
  --checkpoint 500|30s|5m|none   how often a running cell is saved, in steps or time (2m); the same
                        command goes on from there to the same bits
  --dry-run             print cells, parameters, planned bytes and operations, and run nothing
  --log-format json     one line of JSON for each event instead of bars and table
  --experiment FILE     a JSON file with the same values; options given besides it go first

Settings for every method; several values, separated by commas, make a grid:
  --lr X (by method)    --epochs N (3)        --batch N (32)         --max-length N (128)
  --micro-batch N (none)        examples on the device at once; a batch's gradients add up
  --optimizer adamw|adafactor   --scale-parameter true|false (false; adafactor's)
  --schedule linear|cosine|constant           --warmup N (0): steps, or below 1 a share of them
  --weight-decay X (0.01)       --decay all|matrices (all); matrices: none on biases, norms, prompts
  --clip X|none (1)             --frozen-dropout X (0)
  --class-weights none|balanced|0:1,1:3       weight of each class in the loss
  --patience N (none)           stop after N epochs without a better --metric accuracy|f1|loss
  --keep last|best              the epoch whose weights and predictions are kept

${slurmUsage}

With another base, data or file than the default experiment's, its settings do not apply.`;
}

const textFlags = {
  base: "base",
  data: "data",
  methods: "methods",
  "text-column": "textColumn",
  "label-column": "labelColumn",
  task: "task",
  prefix: "prefix",
  "eval-backend": "evalBackend",
  precision: "precision",
  recompute: "recompute",
  "keep-features": "keepFeatures",
  start: "start",
  out: "out",
} as const satisfies Record<string, keyof Experiment>;

/**
 * The experiment that a command line asks for: the default one, changed by a JSON file, changed by
 * the other flags; null when help is asked for.
 *
 * @param args The command line's words
 * @param defaults What is run without any
 * @throws {TypeError} When a flag, method, option or setting is unknown
 * @throws {RangeError} When a value breaks its rule
 * @throws {Error} When the JSON file cannot be read
 */
export async function experimentFromArgs(
  args: readonly string[],
  defaults: Experiment,
  registry: MethodRegistry,
): Promise<ResolvedExperiment | null> {
  const named = [
    ...Object.keys(textFlags),
    ...Object.keys(settingFlags),
    "seeds",
    "axes",
    "choose",
    "sample",
    "sample-seed",
    "budget",
    "halving",
    "cells-per-program",
    "memory",
    "tune",
    "checkpoint",
    "train-size",
    "split",
    "split-seed",
    "eval",
    "label-words",
    "experiment",
  ];
  const flags = parseArgs([...args], {
    string: named,
    boolean: ["dedupe", "help"],
    unknown: (arg, key) => {
      if (arg === "") return false;
      throw new TypeError(
        key === undefined
          ? `Cannot use argument "${arg}": only options are taken; ` +
            `quote values that hold spaces, as in --methods "lora:rank=8 full"`
          : `Cannot use option ${arg}: no such option; use ${
            [...named, "dedupe", "help"].map((name) => `--${name}`).join(", ")
          }`,
      );
    },
  }) as Record<string, unknown>;
  if (flags.help) return null;

  const file = typeof flags.experiment === "string" ? await readExperiment(flags.experiment) : {};
  const given: Partial<Experiment> = { ...file };
  const settings: Partial<TrainSettings> = {};
  const axes: Record<string, readonly unknown[]> = {};
  const put = (key: keyof Experiment, value: unknown, flag: string): void => {
    checkExperimentValue(key, value, `--${flag}`);
    Object.assign(given, { [key]: value });
  };
  for (const flag of named) {
    const value = flags[flag];
    if (typeof value !== "string") continue;
    if (flag in textFlags) put(textFlags[flag as keyof typeof textFlags], value, flag);
    else if (flag === "seeds") put("seeds", value.split(",").map(textValue), flag);
    else if (flag === "choose") put("choose", value === "none" ? [] : value.split(","), flag);
    else if (flag === "sample") put("sample", textValue(value), flag);
    else if (flag === "sample-seed") put("sampleSeed", textValue(value), flag);
    else if (flag === "budget") put("budget", parseDuration(value, `--${flag}`), flag);
    else if (flag === "halving") put("halving", textValue(value), flag);
    else if (flag === "cells-per-program") put("cellsPerProgram", textValue(value), flag);
    else if (flag === "train-size") put("trainSize", textValue(value), flag);
    else if (flag === "tune") put("tune", textValue(value), flag);
    else if (flag === "memory") put("memory", parseBytes(value), flag);
    else if (flag === "checkpoint") put("checkpoint", parseCheckpointInterval(value), flag);
    else if (flag === "split") put("split", textValue(value), flag);
    else if (flag === "split-seed") put("splitSeed", textValue(value), flag);
    else if (flag === "eval") put("evaluate", value.split(","), flag);
    else if (flag === "label-words") put("labelWords", parseLabelWords(value), flag);
    else if (flag in settingFlags) {
      const key = settingFlags[flag];
      const values = splitValues(flag, value).map((one) =>
        parseSetting(flag, one, `--${flag}`)[key]
      );
      if (values.length === 1) Object.assign(settings, { [key]: values[0] });
      else axes[key] = values;
    }
  }
  if (flags.dedupe) given.dedupe = true;

  const start = startFrom(defaults, given);
  const whole = { ...start, ...given };
  // A flag takes the place of the same setting, whether that had one value or several.
  const flagged = new Set([...Object.keys(settings), ...Object.keys(axes)]);
  const kept = (object: object): object =>
    Object.fromEntries(Object.entries(object).filter(([key]) => !flagged.has(key)));
  return resolveExperiment({
    ...whole,
    methods: typeof flags.axes === "string"
      ? withAxes(whole.methods, flags.axes, registry)
      : whole.methods,
    settings: isJsonObject(whole.settings)
      ? { ...kept(whole.settings), ...settings }
      : whole.settings,
    axes: isJsonObject(whole.axes) ? { ...kept(whole.axes), ...axes } : whole.axes,
  }, registry);
}

function withAxes(
  methods: Experiment["methods"],
  axes: string,
  registry: MethodRegistry,
): MethodRequest[] {
  if (typeof methods === "string") {
    return spreadAxes(readMethods(methods, registry), axes, registry);
  }
  throw new TypeError(
    `Cannot use --axes with a list of methods: name them by --methods "...", or give each its values`,
  );
}

/** What the default experiment was tuned for holds for its own base and data alone. */
function startFrom(defaults: Experiment, given: Partial<Experiment>): Experiment {
  // A folder stands for the published base or data that the experiment names.
  const same = (["base", "data"] as const).every((key) =>
    given[key] === undefined || given[key] === defaults[key] || isReference(defaults[key])
  );
  if (same) return defaults;
  const methods = typeof defaults.methods === "string"
    ? defaults.methods
    : defaults.methods.map(({ name, options }) => ({ name, options }));
  return sweep({ base: defaults.base, data: defaults.data, methods, out: defaults.out });
}

async function readExperiment(path: string): Promise<Partial<Experiment>> {
  let value: unknown;
  try {
    value = parseStrictJson(await Deno.readTextFile(path));
  } catch (error) {
    throw new Error(`Cannot read experiment ${path}: ${ioReason(error)}`, { cause: error });
  }
  if (!isJsonObject(value)) {
    throw new TypeError(`Cannot read experiment ${path}: must hold one JSON object`);
  }
  for (const [key, one] of Object.entries(value)) checkExperimentValue(key, one);
  return value;
}

function parseLabelWords(text: string): Record<string, string> | string[] {
  const parts = text.split(",").map((part) => part.trim());
  const pairs = parts.filter((part) => part.includes("="));
  if (pairs.length === 0) return parts;
  const entries = pairs.map((part) => part.split("=").map((side) => side.trim()));
  const labels = new Set(entries.map(([label]) => label));
  if (
    pairs.length < parts.length || labels.size < pairs.length ||
    entries.some((sides) => sides.length !== 2 || sides.includes(""))
  ) {
    throw new TypeError(
      `Cannot read --label-words "${text}": use label=word for each label, ` +
        `as in 0=negative,1=positive, or words alone in class order`,
    );
  }
  return Object.fromEntries(entries);
}
