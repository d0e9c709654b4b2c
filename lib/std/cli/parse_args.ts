/**
 * Offline stand-in for `@std/cli/parse-args`: long flags, one-letter flags and their aliases.
 * Dotted names stay flat (the original nests them).
 *
 * @module
 */

type Unset<T> = [T] extends [undefined] ? true : false;
type Untyped<B, S, C> = [Unset<B>, Unset<S>, Unset<C>] extends [true, true, true] ? true : false;
type Names<T> = Extract<T, string>;
type Given<D, K> = K extends keyof D ? D[K] : never;
type Optional<B, S, C, D> = Exclude<Names<S>, Names<C> | Names<B> | keyof D>;

/** The flags and what is left over, as {@linkcode parseArgs} returns them. */
// deno-lint-ignore no-explicit-any
export type Args<T extends Record<string, unknown> = Record<string, any>> = T & {
  /** Arguments that belong to no flag. */
  _: Array<string | number>;
};

/** Flags typed by the options that declared them. */
export type Values<B, S, C, N, D> = Untyped<B, S, C> extends true
  // deno-lint-ignore no-explicit-any
  ? Record<string, any>
  :
    & Record<string, unknown>
    & { [K in Exclude<Names<B>, Names<C>>]: boolean | Given<D, K> }
    & { [K in Optional<B, S, C, D>]?: string | (K extends N ? false : never) }
    & {
      [K in Exclude<Extract<Names<S>, keyof D>, Names<C>>]:
        | string
        | Given<D, K>
        | (K extends N ? false : never);
    }
    & { [K in Extract<Names<S>, Names<C>>]: string[] | Given<D, K> }
    & { [K in Exclude<Names<C>, Names<S> | Names<B>>]: unknown[] | Given<D, K> };

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<
  B extends boolean | string | undefined = boolean | string | undefined,
  S extends string | undefined = string | undefined,
  C extends string | undefined = string | undefined,
  N extends string | undefined = string | undefined,
  D extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
> {
  /** Puts what follows `--` under that key instead of into `_`. */
  "--"?: boolean;
  /** Other names of a flag. */
  alias?: Record<string, string | ReadonlyArray<string>>;
  /** Flags that take no value; false where not given. */
  boolean?: B | ReadonlyArray<Extract<B, string>>;
  /** Values of flags that are not given. */
  default?: D;
  /** Leaves everything after the first argument that is no flag in `_`. */
  stopEarly?: boolean;
  /** Flags whose value stays a string, even where it looks like a number. */
  string?: S | ReadonlyArray<Extract<S, string>>;
  /** Flags that may be given several times, as an array. */
  collect?: C | ReadonlyArray<Extract<C, string>>;
  /** Flags that `--no-NAME` sets to false. */
  negatable?: N | ReadonlyArray<Extract<N, string>>;
  /** Called with each argument that no option declares; false leaves it out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

function list(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((x) => typeof x === "string" && x);
}

function isNumber(text: string): boolean {
  return /\S/.test(text) && Number.isFinite(Number(text));
}

/**
 * Reads command line arguments into flags.
 *
 * @param args Arguments, usually `Deno.args`.
 * @param options Which flags are known and of which type.
 */
export function parseArgs<
  B extends boolean | string | undefined = undefined,
  S extends string | undefined = undefined,
  C extends string | undefined = undefined,
  N extends string | undefined = undefined,
  D extends Record<string, unknown> | undefined = undefined,
>(args: string[], options: ParseOptions<B, S, C, N, D> = {}): Args<Values<B, S, C, N, D>> {
  const names = new Map<string, string[]>(); // each name to all names of the same flag
  for (const [key, other] of Object.entries(options.alias ?? {})) {
    const all = [key, ...list(other)];
    for (const name of all) names.set(name, all);
  }
  const same = (key: string) => names.get(key) ?? [key];
  const set = (value: unknown) => new Set(list(value).flatMap(same));
  const booleans = set(options.boolean);
  const strings = set(options.string);
  const collected = set(options.collect);
  const negatables = set(options.negatable);
  const allBooleans = options.boolean === true;
  const flags: Record<string, unknown> = {};
  const rest: (string | number)[] = [];

  function put(key: string, value: string | boolean, arg: string, collect = true): void {
    const known = booleans.has(key) || strings.has(key) || names.has(key) ||
      (allBooleans && /^--[^=]+$/.test(arg));
    if (!known && options.unknown?.(arg, key, value) === false) return;
    const typed = typeof value === "string" && !strings.has(key) && isNumber(value)
      ? Number(value)
      : value;
    for (const name of same(key)) {
      const old = flags[name];
      flags[name] = collect && collected.has(key)
        ? [...(Array.isArray(old) ? old : old ? [old] : []), typed]
        : typed;
    }
  }

  const end = args.indexOf("--");
  const parsed = end < 0 ? args : args.slice(0, end);
  const unparsed = end < 0 ? [] : args.slice(end + 1);
  for (let i = 0; i < parsed.length; i++) {
    const arg = parsed[i];
    const next = parsed[i + 1];
    const bare = (key: string) => put(key, strings.has(key) ? "" : true, arg);
    const withNext = (key: string, takesNext: boolean) => {
      if (next && takesNext && !booleans.has(key)) {
        i++;
        put(key, next, arg);
      } else if (next === "true" || next === "false") {
        i++;
        put(key, next === "true", arg);
      } else bare(key);
    };
    const long = /^--([^=]+)(?:=(.*))?$/s.exec(arg);
    const short = /^-([A-Za-z])(?:=(.+)|(-?\d+(?:\.\d*)?(?:e-?\d+)?))$/s.exec(arg);
    if (long) {
      const [, key, value] = long;
      if (value) put(key, booleans.has(key) ? value !== "false" : value, arg);
      else if (key.startsWith("no-") && negatables.has(key.slice(3))) {
        put(key.slice(3), false, arg, false);
      } else withNext(key, !allBooleans && !(next ?? "").startsWith("-"));
    } else if (short) {
      put(short[1], short[2] ?? short[3], arg);
    } else if (/^-[^-]/.test(arg)) {
      for (const letter of arg.slice(1, -1)) bare(letter);
      withNext(arg.slice(-1), !/^--?[^-]/.test(next ?? ""));
    } else {
      if (options.unknown?.(arg) !== false) {
        rest.push(strings.has("_") || !isNumber(arg) ? arg : Number(arg));
      }
      if (options.stopEarly) {
        rest.push(...parsed.slice(i + 1));
        break;
      }
    }
  }

  for (const [key, value] of Object.entries(options.default ?? {})) {
    if (!Object.hasOwn(flags, key)) { for (const name of same(key)) flags[name] = value; }
  }
  for (const key of booleans) {
    if (!Object.hasOwn(flags, key)) flags[key] = collected.has(key) ? [] : false;
  }
  for (const key of strings) {
    if (!Object.hasOwn(flags, key) && collected.has(key)) flags[key] = [];
  }
  if (options["--"]) flags["--"] = unparsed;
  else rest.push(...unparsed);
  return { ...flags, _: rest } as Args<Values<B, S, C, N, D>>;
}
