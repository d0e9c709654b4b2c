import { checkTrainSetting, type TrainSettings } from "../train/settings.ts";

/** The names that command lines and method texts use for training settings. */
export const settingFlags: Readonly<Record<string, keyof TrainSettings>> = {
  lr: "learningRate",
  epochs: "epochs",
  batch: "batchSize",
  "max-length": "maxLength",
  "weight-decay": "weightDecay",
  decay: "decay",
  clip: "clipNorm",
  schedule: "schedule",
  warmup: "warmupSteps",
  "frozen-dropout": "frozenDropout",
};

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A text's value: a number or boolean where it reads as one, otherwise the text itself. */
export function textValue(text: string): number | string | boolean {
  if (text === "true" || text === "false") return text === "true";
  return decimal.test(text) ? Number(text) : text;
}

/**
 * Reads one value of a training setting.
 *
 * @param flag A name in {@linkcode settingFlags}
 * @param text The value as written; `none` means null
 * @param shown How the error names the setting
 * @throws {RangeError} When the value breaks the setting's rule
 */
export function parseSetting(flag: string, text: string, shown: string): Partial<TrainSettings> {
  const key = settingFlags[flag];
  const value = text === "none" ? null : textValue(text);
  checkTrainSetting(key, value, shown);
  return { [key]: value };
}
