/**
 * Reading a `config.json` into typed fields, with errors that name field and value.
 *
 * @module
 */

/** A parsed `config.json`. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Sizes beyond this belong to no model; damage must not exhaust memory or precision. */
const MAX_SIZE = 2 ** 24;

/** Fields whose value is built out at once: for each layer modules, for each channel a frequency. */
const SMALLER: Readonly<Record<string, number>> = {
  num_hidden_layers: 1000,
  n_layer: 1000,
  num_layers: 1000,
  num_decoder_layers: 1000,
  head_dim: 2 ** 16,
  d_kv: 2 ** 16,
};

/** A positive whole number. @throws TypeError where it is missing, something else, or too large. */
export function count(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
    throw new TypeError(
      `Cannot read config: ${key} must be a whole number above 0, found ${shown(value)}`,
    );
  }
  const most = SMALLER[key] ?? MAX_SIZE;
  if (value > most) {
    throw new TypeError(`Cannot read config: ${key} must be at most ${most}, found ${value}`);
  }
  return value;
}

/** A token's id. @throws TypeError where it is none. */
export function tokenId(config: RawConfig, key: string, fallback: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_SIZE) {
    return value;
  }
  throw new TypeError(`Cannot read config: ${key} must be a token's id, found ${shown(value)}`);
}

/** A positive finite number. */
export function positive(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
    throw new TypeError(
      `Cannot read config: ${key} must be a number above 0, found ${shown(value)}`,
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
        shown(value)
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
      `Cannot read config: ${key} must be true or false, found ${shown(value)}`,
    );
  }
  return value;
}

/** A text. */
export function text(config: RawConfig, key: string, fallback?: string): string {
  const value = config[key] ?? fallback;
  if (typeof value !== "string") {
    throw new TypeError(
      `Cannot read config: ${key} must be a text, found ${shown(value)}`,
    );
  }
  return value;
}

/** Refuses a setting whose value the project does not implement. */
export function refuse(config: RawConfig, key: string, allowed: readonly unknown[]): void {
  const value = config[key];
  if (value !== undefined && value !== null && !allowed.includes(value)) {
    throw new TypeError(
      `Cannot use config: ${key} ${shown(value)} is not supported, only ${
        allowed.map((one) => shown(one)).join(" or ")
      }`,
    );
  }
}

/** A value for a message, cut where it is long. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}
