/**
 * Offline stand-in for the parts of `@std/assert` that Tunegrid uses, over node:assert and
 * node:util. Linked only where JSR cannot be reached.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { deepStrictEqual } from "node:assert";

/** Error thrown when an assertion does not hold. */
export class AssertionError extends Error {
  /** @param message What was expected and what was found. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

function suffix(msg?: string): string {
  return msg ? `: ${msg}` : ".";
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 10, sorted: true, strAbbreviateSize: Infinity });
}

/**
 * What is compared: -0 as 0 and a property that is undefined as one that is absent, as
 * `@std/assert` does and node does not.
 */
function plain(value: unknown, seen = new Map<unknown, unknown>()): unknown {
  if (Object.is(value, -0)) return 0;
  if (value === null || typeof value !== "object") return value;
  const known = seen.get(value);
  if (known) return known;
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    seen.set(value, copy);
    for (const item of value) copy.push(plain(item, seen));
    return copy;
  }
  if (value instanceof Float32Array || value instanceof Float64Array) {
    return value.map((x) => x === 0 ? 0 : x);
  }
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    seen.set(value, copy);
    for (const [key, item] of value) copy.set(plain(key, seen), plain(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set<unknown>();
    seen.set(value, copy);
    for (const item of value) copy.add(plain(item, seen));
    return copy;
  }
  const isRecord = prototype === null || prototype === Object.prototype ||
    Object.prototype.toString.call(value) === "[object Object]";
  if (!isRecord) return value;
  const copy: Record<string | symbol, unknown> = Object.create(
    prototype === null ? Object.prototype : prototype,
  );
  seen.set(value, copy);
  for (const key of Reflect.ownKeys(value)) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key)!;
    const item = (value as Record<string | symbol, unknown>)[key];
    if (!descriptor.enumerable || item === undefined) continue;
    Object.defineProperty(copy, key, {
      value: plain(item, seen),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return copy;
}

function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(plain(a), plain(b));
}

/** Asserts that `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that `actual` and `expected` are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  let difference: string;
  try {
    deepStrictEqual(plain(actual), plain(expected));
    difference = `${show(actual)} and ${show(expected)}`;
  } catch (error) {
    difference = (error as Error).message;
  }
  throw new AssertionError(`Values are not equal${suffix(msg)}\n${difference}`);
}

/** Asserts that `actual` and `expected` are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    `Expected actual: ${show(actual)} not to be: ${show(expected)}${suffix(msg)}`,
  );
}

/**
 * Asserts that two numbers differ by no more than `tolerance`, absolute; by default
 * 1e-7 times |expected|.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const delta = Math.abs(expected - actual);
  const allowed = tolerance ?? (isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (delta <= allowed) return;
  throw new AssertionError(
    `Expected actual: "${actual.toExponential()}" to be close to "${expected.toExponential()}": ` +
      `delta "${delta.toExponential()}" is greater than "${allowed.toExponential()}"${suffix(msg)}`,
  );
}

/** Asserts that `actual` is neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to not be null or undefined${suffix(msg)}`,
  );
}

/** Asserts that `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(`Expected actual: "${actual}" to contain: "${expected}"${suffix(msg)}`);
}

/** Asserts that `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(`Expected actual: "${actual}" to match: "${expected}"${suffix(msg)}`);
}

function checkError<E extends Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    throw new AssertionError(`A non-Error object was thrown or rejected${suffix(msg)}`);
  }
  if (errorClass && !(error instanceof errorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${errorClass.name}", but was "${error.constructor.name}"` +
        suffix(msg),
      { cause: error },
    );
  }
  if (messageIncludes && !error.message.includes(messageIncludes)) {
    throw new AssertionError(
      `Expected error message to include ${JSON.stringify(messageIncludes)}, but got ` +
        `${JSON.stringify(error.message)}${suffix(msg)}`,
      { cause: error },
    );
  }
}

/** Asserts that `fn` throws, and returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Asserts that `fn` throws an `ErrorClass` whose message includes `msgIncludes`. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const errorClass = typeof classOrMsg === "string" ? undefined : classOrMsg;
  const message = typeof classOrMsg === "string" ? classOrMsg : msg;
  try {
    fn();
  } catch (error) {
    if (errorClass) checkError(error, errorClass, msgIncludes, message);
    return error;
  }
  throw new AssertionError(`Expected function to throw${suffix(message)}`);
}

/** Asserts that the promise of `fn` rejects, and resolves to what it rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Asserts that the promise rejects with an `ErrorClass` whose message includes `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const errorClass = typeof classOrMsg === "string" ? undefined : classOrMsg;
  const message = typeof classOrMsg === "string" ? classOrMsg : msg;
  let isPromise = false;
  try {
    const promise = fn();
    isPromise = promise !== null && typeof promise === "object" && "then" in promise;
    await promise;
  } catch (error) {
    if (!isPromise) {
      throw new AssertionError(`Function throws when expected to reject${suffix(message)}`, {
        cause: error,
      });
    }
    if (errorClass) checkError(error, errorClass, msgIncludes, message);
    return error;
  }
  throw new AssertionError(`Expected function to reject${suffix(message)}`);
}
