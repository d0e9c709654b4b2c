/**
 * Bringing parameters' values to the device.
 *
 * @module
 */

import type { Session } from "../gpu/session.ts";
import { PART_ELEMENTS, readerOf, type WeightValues } from "./weight_values.ts";

/**
 * Fills a session's variable with a parameter's values, part by part, so that the host never holds
 * more than a part of what is read from a file. Nothing happens where no program uses the variable.
 *
 * @param variable Its name in the session; the parameter's unless given.
 * @throws RangeError where the parameter has no values, or one of them does not fit the variable's
 *   half precision; TypeError where they are not as many as the variable's elements.
 */
export async function fillIn(
  session: Session,
  name: string,
  values: WeightValues,
  variable: string = name,
): Promise<void> {
  if (!session.has(variable)) return;
  const reader = readerOf(values, name);
  if (reader === undefined) throw new RangeError(`Cannot fill ${name}: it has no values`);
  const { length } = reader;
  if (length <= PART_ELEMENTS) session.upload(variable, reader.part(0, length));
  else {
    for (let from = 0; from < length; from += PART_ELEMENTS) {
      const part = reader.part(from, Math.min(length, from + PART_ELEMENTS));
      session.uploadPart(variable, part, { from, of: length });
      await session.settle();
    }
  }
  await session.settle();
}
