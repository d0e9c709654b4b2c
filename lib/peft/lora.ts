import type { Node } from "../graph/node.ts";
import { linear } from "../layers/linear.ts";
import type { Initializer } from "../layers/scope.ts";
import type { LinearSite } from "../layers/site.ts";
import { add, scale as times, subtract } from "../ops/elementwise.ts";
import { doraMagnitude, doraOutput } from "./dora.ts";
import { mergeLora } from "./lora_merge.ts";
import type { Method, MethodOptions, Target } from "./method.ts";
import { atLeastOne, count, flag, names, oneOf, positive, probability } from "./options.ts";
import { pissaStart } from "./pissa.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { isCross, linearTargets } from "./targets.ts";

const own = {
  defaults: {
    rank: 8,
    alpha: 16,
    dropout: 0,
    targets: "auto",
    rslora: false,
    dora: false,
    init: "default",
    plus: 1,
  },
  rules: {
    rank: count,
    alpha: positive,
    dropout: probability,
    targets: names,
    rslora: flag,
    dora: flag,
    init: oneOf("default", "gaussian", "pissa"),
    plus: atLeastOne,
  },
  libraries: {
    peft: { defaults: { alpha: 8 } },
    opendelta: { without: ["rslora", "dora", "init", "plus"] },
  },
};

const parse = semanticParser("lora", own);

/** alpha / rank (Hu et al., 2021), or alpha / √rank (Kalajdzievski, 2023, rsLoRA). */
function scaling({ alpha, rank, rslora }: MethodOptions): number {
  return Number(alpha) / (rslora ? Math.sqrt(Number(rank)) : Number(rank));
}

/**
 * LoRA (Hu et al., 2021): y = W·x + s · B·(A·x), W frozen; the product stays factored.
 *
 * A `<path>.lora_A.weight` [rank, inputs] starts uniform within ±1/√inputs (`init` gaussian: with
 * deviation 1/rank), B `<path>.lora_B.weight` [outputs, rank] at zero. `init` pissa (Meng et al.,
 * 2024): both start as the largest singular parts of W, and y = W·x + s · (B·A − B₀·A₀)·x, so that
 * the base stays as it is. `dora`: see {@linkcode doraOutput}. `plus` (Hayou et al., 2024, LoRA+):
 * factor on B's learning rate; in PEFT's semantics, on that of vectors as well. OpenDelta leaves
 * cross-attention out.
 */
export const lora: Method = {
  name: "lora",
  defaults: { semantics: "own", ...own.defaults },
  parse: (options) => {
    const parsed = parse(options);
    if (parsed.dora && parsed.init === "pissa") {
      throw new RangeError(
        "Cannot use lora with dora and init pissa: DoRA's norm is that of a weight which PiSSA " +
          "splits; leave one of them out",
      );
    }
    return parsed;
  },
  label: (options) => {
    const { rank, alpha, targets, dropout, rslora, dora, init, plus } = options;
    return semanticLabel([
      `LoRA, rank ${rank}`,
      alpha === parse({ semantics: options.semantics }).alpha ? "" : `alpha ${alpha}`,
      dropout === 0 ? "" : `dropout ${dropout}`,
      targets === "auto" ? "" : `on ${targets}`,
      rslora ? "rsLoRA" : "",
      dora ? "DoRA" : "",
      init === "default" ? "" : init === "pissa" ? "PiSSA" : `${init} init`,
      plus === 1 ? "" : `LoRA+ ${plus}`,
    ], options);
  },
  semantics: semanticsOf(own),
  trains: "head",
  needsHead: false,
  startsAsBase: ({ dora }) =>
    !dora || "the weights' norms are computed on host and device, which round differently",
  note: (sites, options) =>
    loraSites({ sites }, options).length <
        loraSites({ sites }, { ...options, semantics: "own" }).length
      ? "OpenDelta leaves cross-attention out"
      : null,
  scaling,
  rate: ({ name, shape }, { plus, semantics }) =>
    name.endsWith(".lora_B.weight") || (semantics === "peft" && shape.length === 1)
      ? Number(plus)
      : 1,
  attach: (target, options) => {
    for (const site of loraSites(target, options)) attachTo(site, target, options);
  },
  merge: (target, options) =>
    mergeLora(target, {
      sites: loraSites(target, options),
      scaling: scaling(options),
      rank: Number(options.rank),
      dora: options.dora === true,
      pissa: options.init === "pissa",
    }),
};

function loraSites({ sites }: Pick<Target, "sites">, options: MethodOptions): LinearSite[] {
  const found = linearTargets("lora", sites, String(options.targets));
  return options.semantics === "opendelta" && options.targets === "auto"
    ? found.filter((site) => !isCross(site, sites))
    : found;
}

function attachTo(site: LinearSite, { delta }: Target, options: MethodOptions): void {
  const rank = Number(options.rank);
  const s = scaling(options);
  const dropout = Number(options.dropout);
  const { path, inputs, outputs } = site;
  const start = options.init === "pissa" ? pissaStart(site, rank, s) : {
    a: startOfA(options, inputs),
    b: { kind: "zeros" } as Initializer,
  };
  const pair = (suffix: string, role: "trainable" | "weight") => ({
    a: delta.parameter(`${path}.lora_A.${suffix}`, [rank, inputs], start.a, role),
    b: delta.parameter(`${path}.lora_B.${suffix}`, [outputs, rank], start.b, role),
  });
  const { a, b } = pair("weight", "trainable");
  const initial = options.init === "pissa" ? pair("initial", "weight") : undefined;
  const magnitude = options.dora
    ? delta.parameter(
      `${path}.lora_magnitude_vector`,
      [outputs],
      doraMagnitude(site, `${path}.weight`),
      "trainable",
    )
    : undefined;
  site.transforms.push((x, y, context) => {
    const dropped = dropout > 0 && context.dropout !== undefined;
    const input = dropped ? context.dropout!(x, dropout, `${path}.lora_dropout`) : x;
    if (magnitude !== undefined) {
      return doraOutput(site, { input, dropped, y, a, b, magnitude, scaling: s });
    }
    if (initial === undefined) return linear(linear(input, a), b, { alpha: s, addend: y });
    // The difference first: at the start it is zero to the bit.
    const part = (pair: { a: Node; b: Node }) => linear(linear(input, pair.a), pair.b);
    return add(y, times(subtract(part({ a, b }), part(initial)), s));
  });
}

function startOfA({ init, rank }: MethodOptions, inputs: number): Initializer {
  return init === "gaussian"
    ? { kind: "normal", deviation: 1 / Number(rank) }
    : { kind: "uniform", bound: inputs ** -0.5 };
}
