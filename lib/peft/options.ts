/**
 * Checking a method's options.
 *
 * @module
 */

import type { MethodOptions } from "./method.ts";

/** The rule of one option. */
export interface OptionRule {
  readonly rule: string;
  readonly check: (value: number | string | boolean) => boolean;
}

/** A whole number of at least 1. */
export const count: OptionRule = {
  rule: "a whole number of at least 1",
  check: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
};

/** A number above 0. */
export const positive: OptionRule = {
  rule: "a number above 0",
  check: (value) => typeof value === "number" && Number.isFinite(value) && value > 0,
};

/** A probability below 1. */
export const probability: OptionRule = {
  rule: "a number of at least 0 and below 1",
  check: (value) => typeof value === "number" && value >= 0 && value < 1,
};

/** One of some words. */
export function oneOf(...words: readonly string[]): OptionRule {
  return { rule: words.join(" or "), check: (value) => words.includes(String(value)) };
}

/** Any text. */
export const words: OptionRule = {
  rule: "a text, its words joined by spaces or +",
  check: (value) => typeof value === "string",
};

/** Module names joined by `+`, or `auto`. */
export const names: OptionRule = {
  rule: "module names joined by +, as in q+v, or auto",
  check: (value) => typeof value === "string" && /^[\w.]+(\+[\w.]+)*$/.test(value),
};

/** A number of at least 1. */
export const atLeastOne: OptionRule = {
  rule: "a number of at least 1",
  check: (value) => typeof value === "number" && Number.isFinite(value) && value >= 1,
};

/** True or false. */
export const flag: OptionRule = {
  rule: "true or false",
  check: (value) => typeof value === "boolean",
};

/** What a rule allows, or the word `auto`. */
export function orAuto({ rule, check }: OptionRule): OptionRule {
  return { rule: `${rule}, or auto`, check: (value) => value === "auto" || check(value) };
}

/**
 * Checks options against their rules.
 *
 * @throws TypeError on an unknown option, RangeError on a value that breaks its rule.
 */
export function checkOptions(
  method: string,
  options: MethodOptions,
  rules: Readonly<Record<string, OptionRule>>,
): void {
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, key)) {
      const known = Object.keys(rules).join(", ") || "none";
      throw new TypeError(
        `Cannot use option "${key}" of ${method}: no such option; it has ${known}`,
      );
    }
    if (!rules[key].check(value)) {
      throw new RangeError(
        `Cannot use ${method} with ${key} ${JSON.stringify(value).slice(0, 200)}: must be ${
          rules[key].rule
        }`,
      );
    }
  }
}

/** The `parse` of a method: fills defaults in, refuses what is unknown or breaks its rule. */
export function optionParser(
  method: string,
  defaults: Readonly<MethodOptions>,
  rules: Readonly<Record<string, OptionRule>>,
): (options: MethodOptions) => MethodOptions {
  return (options) => {
    checkOptions(method, options, rules);
    return { ...defaults, ...options };
  };
}
