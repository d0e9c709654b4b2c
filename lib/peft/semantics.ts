/**
 * Whose rules a method follows.
 *
 * Methods of one name differ between libraries in sites, scaling, initialisation, defaults and
 * counts; a method's option `semantics` says which library's hold. `own` are the usual table's
 * home-made variants.
 *
 * @module
 */

import type { MethodOptions } from "./method.ts";
import { checkOptions, oneOf, type OptionRule } from "./options.ts";

/** This project, huggingface/peft, thunlp/OpenDelta, adapter-hub/adapters. */
export type Semantics = "own" | "peft" | "opendelta" | "adapterhub";

const NAMES: Readonly<Record<Semantics, string>> = {
  own: "",
  peft: "PEFT",
  opendelta: "OpenDelta",
  adapterhub: "AdapterHub",
};

/** What another library's rules change in a method's options. */
export interface SemanticRules {
  /** Values of options that are not given, where they are not the method's own defaults. */
  readonly defaults?: Readonly<MethodOptions>;
  /** Options that keep their default there. */
  readonly without?: readonly string[];
  /** Rules of options that are narrower there. */
  readonly rules?: Readonly<Record<string, OptionRule>>;
}

/** Options with their semantics. */
export interface SemanticOptions {
  /** Value of each option that is not given, under own semantics. */
  readonly defaults: Readonly<MethodOptions>;
  /** Rules of all options but `semantics`. */
  readonly rules: Readonly<Record<string, OptionRule>>;
  /** The libraries that have the method besides. */
  readonly libraries: Readonly<Partial<Record<Semantics, SemanticRules>>>;
}

/** The semantics that a method has. */
export function semanticsOf({ libraries }: SemanticOptions): Semantics[] {
  return ["own", ...Object.keys(libraries) as Semantics[]];
}

/**
 * The `parse` of a method with semantics: fills in the defaults of the semantics that are asked for.
 *
 * @throws As {@linkcode checkOptions} does, and RangeError on an option that the library lacks.
 */
export function semanticParser(
  method: string,
  own: SemanticOptions,
): (options: MethodOptions) => MethodOptions {
  const rules = { semantics: oneOf(...semanticsOf(own)), ...own.rules };
  return (options) => {
    checkOptions(method, options, rules);
    const semantics = (options.semantics ?? "own") as Semantics;
    const { defaults = {}, without = [], rules: narrower = {} } = own.libraries[semantics] ?? {};
    const narrowed = Object.entries(options).filter(([key]) => Object.hasOwn(narrower, key));
    const named = `${method} under ${semantics} semantics`;
    checkOptions(named, Object.fromEntries(narrowed), narrower);
    const base = { semantics, ...own.defaults, ...defaults };
    for (const key of without) {
      if (options[key] === undefined || options[key] === (base as MethodOptions)[key]) continue;
      throw new RangeError(
        `Cannot use ${method} with ${key} ${
          JSON.stringify(options[key])
        } under ${semantics} semantics: there it is ${
          JSON.stringify((base as MethodOptions)[key])
        }; leave it out`,
      );
    }
    return { ...base, ...options };
  };
}

/**
 * How a table names a method: its parts, then the library.
 *
 * @param parts Empty ones are left out.
 */
export function semanticLabel(parts: readonly string[], { semantics }: MethodOptions): string {
  const name = NAMES[semantics as Semantics];
  const text = parts.filter((part) => part !== "").join(", ");
  return name === "" ? text : `${text} (${name})`;
}
