import { checkTrainSetting, type TrainSettings } from "../train/settings.ts";

/** The names that command lines and method texts use for training settings. */
export const settingFlags: Readonly<Record<string, keyof TrainSettings>> = {
  optimizer: "optimizer",
  "scale-parameter": "scaleParameter",
  lr: "learningRate",
  epochs: "epochs",
  batch: "batchSize",
  "micro-batch": "microBatch",
  "max-length": "maxLength",
  "weight-decay": "weightDecay",
  decay: "decay",
  clip: "clipNorm",
  schedule: "schedule",
  warmup: "warmup",
  "frozen-dropout": "frozenDropout",
  "class-weights": "classWeights",
  patience: "patience",
  metric: "metric",
  keep: "keep",
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
  const value = text === "none"
    ? null
    : key === "classWeights" && text.includes(":")
    ? parseWeights(text, shown)
    : textValue(text);
  checkTrainSetting(key, value, shown);
  return { [key]: value };
}

/**
 * The several values of one setting, separated by commas; class weights such as `0:1,1:3` hold
 * commas themselves and are one value.
 */
export function splitValues(flag: string, text: string): string[] {
  return settingFlags[flag] === "classWeights" && text.includes(":") ? [text] : text.split(",");
}

/** A setting's value as tables show it; a run of an older version may lack it. */
export function settingText(value: TrainSettings[keyof TrainSettings] | undefined): string {
  if (value === undefined) return "unknown";
  if (value === null) return "none";
  if (typeof value === "number") return String(+value.toPrecision(3));
  if (typeof value !== "object" || Array.isArray(value)) return String(value);
  return Object.entries(value).map((pair) => pair.join(":")).join(",");
}

function parseWeights(text: string, shown: string): Record<string, number> {
  const pairs = text.split(",").map((part) => {
    const [label, weight] = [part.slice(0, part.lastIndexOf(":")), part.split(":").pop()!.trim()];
    return [label.trim(), decimal.test(weight) ? Number(weight) : NaN] as const;
  });
  const labels = new Set(pairs.map(([label]) => label));
  if (labels.size < pairs.length || pairs.some(([label, w]) => label === "" || Number.isNaN(w))) {
    throw new RangeError(
      `Cannot read ${shown} "${text}": use label:weight for each class, as in 0:1,1:3`,
    );
  }
  return Object.fromEntries(pairs);
}
