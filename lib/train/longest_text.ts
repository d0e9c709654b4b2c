import type { Model } from "../models/model.ts";
import type { Attached } from "../peft/method.ts";

/**
 * The most tokens that a text may have: the model's positions, less those that a method takes.
 *
 * @returns Infinity where positions are not limited.
 * @throws RangeError where no position is left.
 */
export function longestText(
  { maxLength }: Pick<Model, "maxLength">,
  { positions }: Pick<Attached, "positions">,
): number {
  const longest = (maxLength ?? Infinity) - positions;
  if (longest >= 1) return longest;
  throw new RangeError(
    `Cannot put ${positions} tokens in front of a text: the model has ${maxLength} positions in ` +
      `all; use fewer tokens`,
  );
}
