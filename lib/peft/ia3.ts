import type { LinearSite } from "../layers/site.ts";
import { multiply } from "../ops/elementwise.ts";
import { reshape } from "../ops/reshape.ts";
import type { Method, MethodOptions, Target } from "./method.ts";
import { weightOf } from "./merge.ts";
import { names } from "./options.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { endsIn, lastParts, linearTargets } from "./targets.ts";

const own = {
  defaults: { targets: "auto", feedforward: "auto" },
  rules: { targets: names, feedforward: names },
  libraries: { peft: {} },
};

/** Key and value projections, by the names that the families give them; GPT-2's has the queries too. */
const KEY_VALUE = ["k", "v", "key", "value", "k_proj", "v_proj", "c_attn"];

/** Second projections of feed-forward blocks. PEFT's "output.dense" is also BERT's attention output. */
const FEED_FORWARD = ["wo", "output.dense", "mlp.c_proj", "down_proj"];

/** A rescaled layer, and whether its input is. */
interface Rescaled {
  readonly site: LinearSite;
  readonly input: boolean;
  /** Name of the vector l. */
  readonly name: string;
}

/**
 * IA3 (Liu et al., 2022): a learned vector l, ones at the start, rescales keys and values,
 * (W·x + b) ∘ l, and what the second projection of a feed-forward block reads, W·(x ∘ l) + b.
 *
 * `<path>.ia3_l` is [outputs, 1] for the first kind, [1, inputs] for the second. `feedforward` names
 * those among all targets that are of the second kind. PEFT's semantics differ on BERT alone: there
 * its usual name for the feed-forward block matches the attention's output projection as well.
 */
export const ia3: Method = {
  name: "ia3",
  defaults: { semantics: "own", ...own.defaults },
  parse: semanticParser("ia3", own),
  label: (options) =>
    semanticLabel(
      ["IA3", options.targets === "auto" ? "" : `on ${options.targets}`],
      options,
    ),
  semantics: semanticsOf(own),
  trains: "head",
  needsHead: false,
  startsAsBase: true,
  note: (sites, options) => {
    const narrower = rescaled({ sites }, { ...options, semantics: "own" });
    return rescaled({ sites }, options).length === narrower.length
      ? null
      : "PEFT's name output.dense matches the attention's output projection as well";
  },
  attach: (target, options) => {
    for (const { site, input, name } of rescaled(target, options)) {
      const size = input ? site.inputs : site.outputs;
      const shape = input ? [1, size] : [size, 1];
      const l = reshape(target.delta.parameter(name, shape, { kind: "ones" }, "trainable"), [size]);
      if (input) site.inputTransforms.push((x) => multiply(x, l));
      else site.transforms.push((_, y) => multiply(y, l));
    }
  },
  merge: (target, options) => {
    const merged = new Map<string, Float32Array<ArrayBuffer>>();
    for (const { site, input, name } of rescaled(target, options)) {
      const weight = weightOf(site, target.base);
      const l = target.delta.get(name)!;
      merged.set(weight.name, weight.map((value, output, i) => value * l[input ? i : output]));
      if (input || site.bias === undefined) continue;
      const bias = `${site.path}.bias`;
      merged.set(bias, target.base.get(bias)!.map((value, output) => value * l[output]));
    }
    return merged;
  },
};

function rescaled({ sites }: Pick<Target, "sites">, options: MethodOptions): Rescaled[] {
  const [targets, feedforward] = [String(options.targets), String(options.feedforward)];
  const second = feedforward === "auto" ? FEED_FORWARD : feedforward.split("+");
  const usual = [...KEY_VALUE, ...second];
  const chosen = linearTargets("ia3", sites, targets, usual)
    .filter(({ path }) =>
      targets !== "auto" || options.semantics === "peft" || !endsIn(path, "attention.output.dense")
    );
  const missing = second.find((name) => !chosen.some(({ path }) => endsIn(path, name)));
  if (feedforward !== "auto" && missing !== undefined) {
    throw new RangeError(
      `Cannot attach ia3: feedforward "${missing}" is none of its targets; found ${
        lastParts(chosen).join(", ")
      }`,
    );
  }
  return chosen
    .map((site) => ({
      site,
      input: second.some((name) => endsIn(site.path, name)),
      name: `${site.path}.ia3_l`,
    }));
}
