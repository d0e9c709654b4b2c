import type { MethodOptions } from "../peft/method.ts";
import type { TrainSettings } from "../train/settings.ts";
import { methodInfo, type MethodRegistry, type MethodRequest } from "./method_spec.ts";
import { parseSetting, settingFlags, splitValues, textValue } from "./setting_text.ts";

/** One value of an axis: what it gives a method. */
export interface AxisPoint {
  /** The method's own hyper-parameters. */
  readonly options: MethodOptions;
  /** Training settings. */
  readonly settings: Partial<TrainSettings>;
}

/** Several values of one name, or of several names that change together. */
export interface Axis {
  /** Names of options, and flags of training settings ({@linkcode settingFlags}). */
  readonly names: readonly string[];
  /** In the order written. */
  readonly points: readonly AxisPoint[];
}

/**
 * Reads an axis: `rank=1,8`, or with linked values `rank,alpha=1:2,8:16`, which is rank 1 with alpha
 * 2 and rank 8 with alpha 16.
 *
 * @param text As written
 * @param shown What it is part of, for errors
 * @param owner What its settings belong to, for errors
 * @throws {TypeError} When the text is malformed
 * @throws {RangeError} When a training setting breaks its rule
 */
export function parseAxis(text: string, shown: string, owner: string = shown): Axis {
  const [, key, list] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const names = key?.split(",").map((name) => name.trim()) ?? [];
  const linked = names.length > 1;
  const values = list === undefined
    ? []
    : linked
    ? list.split(",").map((value) => value.split(":"))
    : splitValues(names[0], list).map((value) => [value]);
  if (values.length === 0 || names.includes("") || values.flat().includes("")) {
    throw new TypeError(
      `Cannot read "${text}" in ${shown}: must be option=value or option=value,value`,
    );
  }
  if (new Set(names).size < names.length || values.some((one) => one.length !== names.length)) {
    throw new TypeError(
      `Cannot link ${names.join(" and ")} in ${shown}: each value of "${list}" must name one of ` +
        `each, as in rank,alpha=1:2,8:16`,
    );
  }
  const points = values.map((point): AxisPoint => {
    const options: MethodOptions = {};
    const settings: Partial<TrainSettings> = {};
    names.forEach((name, i) => {
      if (Object.hasOwn(settingFlags, name)) {
        Object.assign(settings, parseSetting(name, point[i], `${owner}'s ${name}`));
      } else options[name] = textValue(point[i]);
    });
    return { options, settings };
  });
  return { names, points };
}

/** A request with every value of an axis. */
export function spread(requests: readonly MethodRequest[], { points }: Axis): MethodRequest[] {
  return requests.flatMap((request) =>
    points.map(({ options, settings }) => ({
      ...request,
      options: { ...request.options, ...options },
      settings: { ...request.settings, ...settings },
    }))
  );
}

/**
 * Gives axes such as `lr=1e-3,5e-3;rank,alpha=1:2,8:16` to every method that has all options named
 * and is given none of the names itself; zero_shot, which trains nothing, takes none.
 *
 * @param requests As written, options not filled in
 * @throws {TypeError} When the text is malformed, or fits no method
 * @throws {RangeError} When a training setting breaks its rule
 */
export function spreadAxes(
  requests: readonly MethodRequest[],
  text: string,
  registry: MethodRegistry,
): MethodRequest[] {
  let all = [...requests];
  for (const part of text.split(";")) {
    const axis = parseAxis(part.trim(), "--axes");
    const isOption = (name: string): boolean => !Object.hasOwn(settingFlags, name);
    const takes = ({ name, options, settings }: MethodRequest): boolean =>
      name !== "zero_shot" &&
      axis.names.every((one) =>
        isOption(one)
          ? Object.hasOwn(methodInfo(name, registry).defaults, one) && !Object.hasOwn(options, one)
          : !Object.hasOwn(settings ?? {}, settingFlags[one])
      );
    if (!all.some(takes)) {
      throw new TypeError(
        `Cannot use "${part}" in --axes: no method has ${axis.names.join(" and ")} open; options ` +
          `that a method is given itself are left as they are`,
      );
    }
    all = all.flatMap((request) => takes(request) ? spread([request], axis) : [request]);
  }
  return all;
}
