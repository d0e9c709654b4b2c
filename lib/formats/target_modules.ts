/**
 * The shortest ends of module paths that name some of a model's modules and no others.
 *
 * Libraries name the layers that they change by the ends of their paths; what they match is what a
 * path, or what stands behind one of its dots, is equal to.
 *
 * @param wanted Paths to be named.
 * @param all Paths of every module that an end could match, `wanted` among them.
 * @returns Ends, sorted; whole paths at the longest.
 */
export function moduleEnds(wanted: readonly string[], all: readonly string[]): string[] {
  const others = all.filter((path) => !wanted.includes(path));
  const ends = new Set<string>();
  for (const path of wanted) {
    const parts = path.split(".");
    for (let count = 1; count <= parts.length; count++) {
      const end = parts.slice(-count).join(".");
      if (others.some((other) => other === end || other.endsWith(`.${end}`))) continue;
      ends.add(end);
      break;
    }
  }
  return [...ends].sort();
}
