import type { KeyValueSite, LinearSite, Site } from "../layers/site.ts";

/** Query and value projections, by the names that the families give them. */
export const QUERY_VALUE: readonly string[] = [
  "q",
  "v",
  "query",
  "value",
  "q_proj",
  "v_proj",
  "c_attn",
];

/** Whether a module's path ends in a name of one or more parts. */
export function endsIn(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

/**
 * The linear sites that a target list names by the ends of their paths.
 *
 * @param targets Names joined by `+`; `auto` for those of `usual` that there are.
 * @throws RangeError if a name matches no layer.
 */
export function linearTargets(
  method: string,
  sites: readonly Site[],
  targets: string,
  usual: readonly string[] = QUERY_VALUE,
): LinearSite[] {
  const linear = sites.filter((site) => site.kind === "linear");
  const wanted = targets === "auto" ? usual : targets.split("+");
  const found = linear.filter(({ path }) => wanted.some((name) => endsIn(path, name)));
  const missing = targets === "auto"
    ? (found.length === 0 ? "auto" : undefined)
    : wanted.find((name) => !linear.some(({ path }) => endsIn(path, name)));
  if (missing !== undefined) {
    const name = missing.length > 200 ? `${missing.slice(0, 200)}…` : missing;
    throw new RangeError(
      `Cannot attach ${method}: target "${name}" matches no layer; found ${
        lastParts(linear).join(", ")
      }`,
    );
  }
  return found;
}

/** The last names of sites' paths, each once. */
export function lastParts(sites: readonly Site[]): string[] {
  return [...new Set(sites.map(({ path }) => path.slice(path.lastIndexOf(".") + 1)))];
}

/** Whether a site stands in an attention over the encoder's states, and not over its own stack's. */
export function isCross({ path }: Site, sites: readonly Site[]): boolean {
  return sites.some((one) =>
    one.kind === "kv" && one.attention === "cross" &&
    (path === one.path || path.startsWith(`${one.path}.`) || one.path.startsWith(`${path}.`))
  );
}

/** The keys and values of attentions over their own sequence. */
export function selfAttentions(sites: readonly Site[]): KeyValueSite[] {
  return sites.filter((site): site is KeyValueSite =>
    site.kind === "kv" && site.attention === "self"
  );
}

/** Whether the model reads one sequence and writes another. */
export function isEncoderDecoder(sites: readonly Site[]): boolean {
  return ["encoder", "decoder"].every((stack) =>
    sites.some((site) => site.kind === "kv" && site.stack === stack)
  );
}
