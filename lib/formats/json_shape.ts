/**
 * What a JSON value must look like, for files that this project reads back.
 *
 * @module
 */

import { readJsonFile } from "./huggingface.ts";
import { isJsonObject, shown } from "./strict_json.ts";

/** Throws where a value is not as it should be; the path leads to it from the file's start. */
export type Shape = (value: unknown, path: string) => void;

function rule(holds: (value: unknown) => boolean, what: string): Shape {
  return (value, path) => {
    if (holds(value)) return;
    throw new TypeError(`${path} must be ${what}, found ${shown(value)}`);
  };
}

/** A text. */
export const text: Shape = rule((value) => typeof value === "string", "a text");

/** True or false. */
export const flag: Shape = rule((value) => typeof value === "boolean", "true or false");

/** A finite number. */
export const number: Shape = rule((value) => Number.isFinite(value), "a number");

/** A whole number of at least 0 that is held exactly. */
export const size: Shape = rule(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  "a whole number of at least 0",
);

/** A number, text, true or false. */
export const scalar: Shape = rule(
  (value) => ["number", "string", "boolean"].includes(typeof value),
  "a number, text, true or false",
);

/** Any value. */
export const any: Shape = () => {};

/** The shape, or null: JSON's word for numbers that are not finite, too. */
export function orNull(shape: Shape): Shape {
  return (value, path) => value === null ? undefined : shape(value, path);
}

/** A list, every item of a shape. */
export function list(item: Shape): Shape {
  return (value, path) => {
    if (!Array.isArray(value)) throw new TypeError(`${path} must be a list, found ${shown(value)}`);
    value.forEach((one, i) => item(one, `${path}[${i}]`));
  };
}

/** An object of any keys that fit a pattern, every value of a shape. */
export function map(item: Shape, keys: RegExp = /^/): Shape {
  return (value, path) => {
    if (!isJsonObject(value)) {
      throw new TypeError(`${path} must be an object, found ${shown(value)}`);
    }
    for (const [key, one] of Object.entries(value)) {
      if (!keys.test(key)) {
        throw new TypeError(`${path} has a key that it may not have: ${shown(key)}`);
      }
      item(one, `${path}.${key.slice(0, 100)}`);
    }
  };
}

/** An object with fields that must be there, and others that may be. Further ones are let be. */
export function object(
  needed: Readonly<Record<string, Shape>>,
  free: Readonly<Record<string, Shape>> = {},
): Shape {
  return (value, path) => {
    if (!isJsonObject(value)) {
      throw new TypeError(`${path} must be an object, found ${shown(value)}`);
    }
    // Own fields alone: what every object inherits is not in the file.
    const at = (key: string) => Object.hasOwn(value, key) ? value[key] : undefined;
    for (const [key, shape] of Object.entries(needed)) shape(at(key), `${path}.${key}`);
    for (const [key, shape] of Object.entries(free)) {
      if (at(key) !== undefined) shape(at(key), `${path}.${key}`);
    }
  };
}

/**
 * Reads a JSON file of a shape; null where there is no such file.
 *
 * @throws {Error} If it cannot be read.
 * @throws {TypeError} If it is no JSON object, repeats a key, or is not of the shape.
 */
export async function readShaped<T>(path: string, shape: Shape): Promise<T | null> {
  let value: unknown;
  try {
    value = await readJsonFile(path);
  } catch (error) {
    if ((error as Error).cause instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return checkShape<T>(value, shape, path);
}

/**
 * Refuses a file's value that is not of its shape.
 *
 * @throws {TypeError} Naming file, place, what must stand there and what does.
 */
export function checkShape<T>(value: unknown, shape: Shape, file: string): T {
  try {
    shape(value, "it");
    return value as T;
  } catch (error) {
    const reason = (error as Error).message.replace(/^it\./, "");
    throw new TypeError(`Cannot read ${file}: ${reason}`, { cause: error });
  }
}
