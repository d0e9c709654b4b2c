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

/** Module names joined by `+`, or `auto`. */
export const names: OptionRule = {
  rule: "module names joined by +, as in q+v, or auto",
  check: (value) => typeof value === "string" && /^[\w.]+(\+[\w.]+)*$/.test(value),
};

/** The `parse` of a method: fills defaults in, refuses what is unknown or breaks its rule. */
export function optionParser(
  method: string,
  defaults: Readonly<MethodOptions>,
  rules: Readonly<Record<string, OptionRule>>,
): (options: MethodOptions) => MethodOptions {
  return (options) => {
    for (const [key, value] of Object.entries(options)) {
      if (!Object.hasOwn(rules, key)) {
        const known = Object.keys(rules).join(", ") || "none";
        throw new TypeError(
          `Cannot use option "${key}" of ${method}: no such option; it has ${known}`,
        );
      }
      if (!rules[key].check(value)) {
        throw new RangeError(
          `Cannot use ${method} with ${key} ${JSON.stringify(value)}: must be ${rules[key].rule}`,
        );
      }
    }
    return { ...defaults, ...options };
  };
}
