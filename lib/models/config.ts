/**
 * Reading a `config.json` into typed fields, with errors that name field and value.
 *
 * @module
 */

/** A parsed `config.json`. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** A positive whole number. @throws TypeError where it is missing or something else. */
export function count(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
    throw new TypeError(
      `Cannot read config: ${key} must be a whole number above 0, found ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** A positive finite number. */
export function positive(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
    throw new TypeError(
      `Cannot read config: ${key} must be a number above 0, found ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** A number of at least 0 and below 1. */
export function share(config: RawConfig, key: string): number {
  const value = config[key];
  if (typeof value !== "number" || !(value >= 0 && value < 1)) {
    throw new TypeError(
      `Cannot read config: ${key} must be a number of at least 0 and below 1, found ${
        JSON.stringify(value)
      }`,
    );
  }
  return value;
}

/** A number of heads. @throws TypeError where it does not divide the width. */
export function divided(
  config: RawConfig,
  key: string,
  widthKey: string,
  width: number,
): number {
  const heads = count(config, key);
  if (width % heads === 0) return heads;
  throw new TypeError(`Cannot read config: ${key} ${heads} does not divide ${widthKey} ${width}`);
}

/** A truth value. */
export function flag(config: RawConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value !== "boolean") {
    throw new TypeError(
      `Cannot read config: ${key} must be true or false, found ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** A text. */
export function text(config: RawConfig, key: string, fallback?: string): string {
  const value = config[key] ?? fallback;
  if (typeof value !== "string") {
    throw new TypeError(
      `Cannot read config: ${key} must be a text, found ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** Refuses a setting whose value the project does not implement. */
export function refuse(config: RawConfig, key: string, allowed: readonly unknown[]): void {
  const value = config[key];
  if (value !== undefined && value !== null && !allowed.includes(value)) {
    throw new TypeError(
      `Cannot use config: ${key} ${JSON.stringify(value)} is not supported, only ${
        allowed.map((one) => JSON.stringify(one)).join(" or ")
      }`,
    );
  }
}
