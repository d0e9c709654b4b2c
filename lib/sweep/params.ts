/**
 * Counting parameters from configurations alone: no weights, no GPU.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { readConfig, readJsonFile } from "../formats/huggingface.ts";
import { textColumns } from "../formats/text_columns.ts";
import { countParameters } from "../layers/scope.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel } from "../models/index.ts";
import { knownConfigs } from "../models/known_configs.ts";
import { methods } from "../peft/index.ts";
import { attachMethod } from "../peft/method.ts";
import { type MethodSpec, parseMethods } from "./method_spec.ts";

/** What `--help` prints. */
export const usage = `Counts parameters from configurations alone.

  deno task params [CONFIG ...] [--methods "..."] [--classes N]

  CONFIG         a config.json, a folder with one, or a name: ${
  Object.keys(knownConfigs).join(", ")
}
  --methods      as in a sweep, for instance "lora:rank=1,8 full"
  --classes N    classes of a classification head (2)

Without arguments: T5-small under four methods, Llama-3.2-1B under its head alone.`;

const ALL = "full head soft_prompt:tokens=10 prefix:tokens=10 adapter:bottleneck=8 lora:rank=8 ia3";

/** What is shown without arguments. */
const SHOWN = [
  {
    name: "t5-small",
    methods: "full soft_prompt:tokens=10 adapter:bottleneck=8 lora:rank=8",
  },
  { name: "Llama-3.2-1B", methods: "head" },
];

/** Parameters of a model under a method. */
export interface Counts {
  /** The base without a classification head. */
  readonly base: number;
  /** Base, head, and what the method adds. */
  readonly total: number;
  readonly trainable: number;
}

/**
 * Counts the parameters of the model that a configuration describes, under a method.
 *
 * @param classes Classes of the head, where there is one.
 * @throws TypeError or RangeError where configuration or option does not fit.
 */
export function countOf(config: RawConfig, { name, options }: MethodSpec, classes: number): Counts {
  const method = methods[name];
  const model = buildModel(config, { classes, head: method.needsHead });
  const base = countParameters(model.scope.select((name) => !model.head.includes(name)));
  return { base, ...attachMethod(model, method, options).counts };
}

/**
 * Prints the counts that a command line asks for.
 *
 * @returns The exit code.
 */
export async function paramsMain(args: readonly string[]): Promise<number> {
  try {
    const { names, methods: text, classes, help } = readArguments(args);
    if (help) {
      console.log(usage);
      return 0;
    }
    const shown = names.length === 0
      ? SHOWN.map((one) => ({ ...one, methods: text ?? one.methods }))
      : names.map((name) => ({ name, methods: text ?? ALL }));
    const parts: string[] = [];
    for (const one of shown) {
      const config = await openConfig(one.name);
      parts.push(countsText(one.name, config, parseMethods(one.methods, methods), classes));
    }
    console.log(parts.join("\n\n"));
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

function readArguments(args: readonly string[]) {
  const { _: words, methods, classes, help } = parseArgs([...args], {
    string: ["_", "methods", "classes"],
    boolean: ["help"],
    default: { classes: "2" },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; there are --methods, --classes and --help`,
      );
    },
  });
  if (!/^[1-9]\d{0,8}$/.test(classes)) {
    throw new RangeError(`Cannot use --classes ${classes}: must be a whole number above 0`);
  }
  return { names: words.map(String), methods, classes: Number(classes), help };
}

/**
 * The configuration that a command line names.
 *
 * @param name A name in {@linkcode knownConfigs}, a `config.json`, or a folder with one.
 * @throws Error where it cannot be read.
 */
export async function openConfig(name: string): Promise<RawConfig> {
  if (Object.hasOwn(knownConfigs, name)) return knownConfigs[name];
  return name.endsWith(".json") ? await readJsonFile(name) : await readConfig(name);
}

function countsText(
  name: string,
  config: RawConfig,
  specs: readonly MethodSpec[],
  classes: number,
): string {
  const whole = (count: number) => count.toLocaleString("en");
  const rows = specs.map((spec) => {
    const { base, total, trainable } = countOf(config, spec, classes);
    return [
      methods[spec.name].label(spec.options),
      whole(base),
      whole(total),
      whole(trainable),
      (100 * trainable / total).toPrecision(3),
    ];
  });
  const head = [name, "base", "total", "trainable", "%"];
  return textColumns([head, ...rows], [false, true, true, true, true]);
}
