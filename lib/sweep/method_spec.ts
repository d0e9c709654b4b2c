import type { MethodOptions } from "../peft/method.ts";
import type { TrainSettings } from "../train/settings.ts";
import { parseAxis, spread } from "./method_axes.ts";

/** A fine-tuning method with every option resolved. */
export interface MethodSpec {
  /** Name in the registry. */
  name: string;
  /** Its own hyper-parameters. */
  options: MethodOptions;
}

/** What the sweep must know of a method; the registry maps names to these. */
export interface MethodInfo {
  /** Name in the registry. */
  name: string;
  /** Value of each option that is not given. */
  defaults: Readonly<MethodOptions>;
  /** Fills defaults in and validates; throws on an unknown option or a bad value. */
  parse(options: MethodOptions): MethodOptions;
  /** How a table names the method with these options. */
  label(options: MethodOptions): string;
}

/** Methods by name. */
export type MethodRegistry = Readonly<Record<string, MethodInfo>>;

/** A method together with the training settings that it alone is given. */
export interface MethodRequest extends MethodSpec {
  /** What goes before the experiment's settings and axes. */
  settings?: Partial<TrainSettings>;
}

/**
 * Checks a request against the registry and fills in the method's defaults.
 *
 * @throws {TypeError} When the method is unknown
 * @throws {Error} What the method's own `parse` throws
 */
export function resolveMethod(
  { name, options }: MethodSpec,
  registry: MethodRegistry,
): MethodSpec {
  return { name, options: methodInfo(name, registry).parse({ ...options }) };
}

/**
 * The registry's entry for a name.
 *
 * @throws {TypeError} When the method is unknown
 */
export function methodInfo(name: string, registry: MethodRegistry): MethodInfo {
  if (Object.hasOwn(registry, name)) return registry[name];
  throw new TypeError(
    `Cannot use method "${name.slice(0, 200)}": no such method; use ${
      Object.keys(registry).join(", ")
    }`,
  );
}

/**
 * Reads methods such as `lora:rank=1,8;lr=5e-3 full`: separated by white space, options after a
 * colon and separated by semicolons, several values separated by commas. Several values of several
 * options make their product, the last option varying fastest; linked ones, as in
 * `lora:rank,alpha=1:2,8:16`, change together. Names of training settings ({@linkcode settingFlags})
 * go to the method's settings, all others to its options.
 *
 * @throws {TypeError} When the text is malformed, or names an unknown method or option
 * @throws {RangeError} When a value breaks its rule
 */
export function parseMethods(text: string, registry: MethodRegistry): MethodRequest[] {
  return readMethods(text, registry).map((request) => ({
    ...request,
    ...resolveMethod(request, registry),
  }));
}

/** {@linkcode parseMethods} without filling options in. */
export function readMethods(text: string, registry: MethodRegistry): MethodRequest[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) {
    throw new TypeError(
      `Cannot read methods: the text is empty; use for instance "lora:rank=8 full"`,
    );
  }
  return words.flatMap((word) => readMethod(word, registry));
}

function readMethod(word: string, registry: MethodRegistry): MethodRequest[] {
  const colon = word.indexOf(":");
  const name = colon < 0 ? word : word.slice(0, colon);
  if (/[;=,]/.test(name)) {
    throw new TypeError(
      `Cannot read method "${word}": options follow a colon and methods are separated by spaces; ` +
        `use for instance lora:rank=1,8;lr=5e-3`,
    );
  }
  methodInfo(name, registry);
  let requests: MethodRequest[] = [{ name, options: {}, settings: {} }];
  const seen = new Set<string>();
  for (const part of colon < 0 ? [] : word.slice(colon + 1).split(";")) {
    const axis = parseAxis(part, `method "${word}"`, name);
    for (const key of axis.names) {
      if (seen.has(key)) {
        throw new TypeError(`Cannot read method "${word}": option ${key} is given twice`);
      }
      seen.add(key);
    }
    requests = spread(requests, axis);
  }
  return requests;
}
