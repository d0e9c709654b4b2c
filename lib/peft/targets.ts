import type { LinearSite, Site } from "../layers/site.ts";

/** Query and value projections, by the names that the families give them. */
const QUERY_VALUE = ["q", "v", "query", "value", "q_proj", "v_proj", "c_attn"];

/**
 * The linear sites that a target list names by the ends of their paths.
 *
 * @param targets Names joined by `+`; `auto` for the query and value projections.
 * @throws RangeError if a name matches no layer.
 */
export function linearTargets(
  method: string,
  sites: readonly Site[],
  targets: string,
): LinearSite[] {
  const linear = sites.filter((site) => site.kind === "linear");
  const wanted = targets === "auto" ? QUERY_VALUE : targets.split("+");
  const ends = (site: LinearSite, name: string) =>
    site.path === name || site.path.endsWith(`.${name}`);
  const found = linear.filter((site) => wanted.some((name) => ends(site, name)));
  const missing = targets === "auto"
    ? (found.length === 0 ? "auto" : undefined)
    : wanted.find((name) => !linear.some((site) => ends(site, name)));
  if (missing !== undefined) {
    const known = [...new Set(linear.map(({ path }) => path.slice(path.lastIndexOf(".") + 1)))];
    throw new RangeError(
      `Cannot attach ${method}: target "${missing}" matches no layer; found ${known.join(", ")}`,
    );
  }
  return found;
}
