/** Label strings and the classes they became. */
export interface Labels {
  /** Name of class 0, 1, …. */
  readonly names: readonly string[];
  /** Class of each name. */
  readonly ids: ReadonlyMap<string, number>;
}

/** More classes than this are taken for a wrong column. */
const MAX_CLASSES = 1000;

/**
 * Gives the distinct label strings the classes 0 to n - 1: in the order given, or else sorted,
 * numbers by value and before words, digits within words by value too (`class2` before `class10`).
 *
 * @param order Names of all classes, in their order; values are then not looked at.
 * @throws {RangeError} If there are fewer than 2 or more than 1,000 classes, or a name is given twice.
 */
export function mapLabels(values: Iterable<string>, order?: readonly string[]): Labels {
  const names = order === undefined ? [...new Set(values)].sort(compareLabels) : [...order];
  const ids = new Map(names.map((name, id) => [name, id]));
  if (ids.size !== names.length) {
    throw new RangeError(`Cannot map labels: a name is given twice in ${names.join(", ")}`);
  }
  if (names.length < 2 || names.length > MAX_CLASSES) {
    throw new RangeError(
      `Cannot map labels: a classifier has 2 to ${MAX_CLASSES} classes, found ${names.length} ` +
        `(${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}); ` +
        "choose another label column",
    );
  }
  return { names, ids };
}

/** Order of labels: numbers by value, then words, numbers inside words by value. */
export function compareLabels(a: string, b: string): number {
  const number = /^[+-]?\d+(\.\d+)?$/;
  const [aIsNumber, bIsNumber] = [number.test(a), number.test(b)];
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  if (aIsNumber) return Number(a) - Number(b) || compareText(a, b);
  const [as, bs] = [a.match(/\d+|\D+/g) ?? [], b.match(/\d+|\D+/g) ?? []];
  for (let i = 0; i < Math.min(as.length, bs.length); i++) {
    const bothDigits = /^\d/.test(as[i]) && /^\d/.test(bs[i]);
    const order = bothDigits ? Number(as[i]) - Number(bs[i]) : compareText(as[i], bs[i]);
    if (order !== 0) return order;
  }
  return as.length - bs.length || compareText(a, b);
}

/** By code units: the same under every locale. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
