/**
 * The shortest ends of module paths that name some of a model's modules and no others.
 *
 * Libraries name the layers that they change by the ends of their paths; what they match is what a
 * path, or what stands behind one of its dots, is equal to.
 *
 * @param wanted Paths to be named.
 * @param all Paths of every module that an end could match, `wanted` among them.
 * @returns Ends, sorted; whole paths at the longest.
 * @throws TypeError where another's path ends in the whole of one.
 */
export function moduleEnds(wanted: readonly string[], all: readonly string[]): string[] {
  const others = all.filter((path) => !wanted.includes(path));
  const ends = new Set<string>();
  for (const path of wanted) {
    const parts = path.split(".");
    const matches = (end: string) =>
      others.find((other) => other === end || other.endsWith(`.${end}`));
    const tails = parts.map((_, i) => parts.slice(parts.length - 1 - i).join("."));
    const end = tails.find((tail) => matches(tail) === undefined);
    if (end === undefined) {
      throw new TypeError(`Cannot name module ${path} alone: ${matches(path)} ends so too`);
    }
    ends.add(end);
  }
  return [...ends].sort();
}
