import type { Initializer } from "../layers/scope.ts";
import { linear } from "../layers/linear.ts";
import type { BlockSite } from "../layers/site.ts";
import { activation, activationNames } from "../ops/activations.ts";
import { add, scale } from "../ops/elementwise.ts";
import type { Method, MethodOptions, Target } from "./method.ts";
import { count, oneOf, orAuto, positive } from "./options.ts";
import { semanticLabel, semanticParser, semanticsOf } from "./semantics.ts";
import { isCross } from "./targets.ts";

const own = {
  defaults: {
    bottleneck: 8,
    reduction: 16,
    activation: "relu",
    placement: "ffn",
    scaling: 1,
  },
  rules: {
    bottleneck: orAuto(count),
    reduction: positive,
    activation: oneOf(...activationNames),
    placement: oneOf("ffn", "pfeiffer", "houlsby", "parallel"),
    scaling: positive,
  },
  libraries: {
    opendelta: {
      defaults: { bottleneck: 24, activation: "gelu_new", placement: "houlsby" },
      without: ["reduction", "scaling"],
    },
    adapterhub: { defaults: { bottleneck: "auto", placement: "pfeiffer" } },
  },
};

/** What a placement changes of the defaults: He et al.'s scaling, AdapterHub's configurations. */
function placed({ semantics, placement }: MethodOptions): MethodOptions {
  const parallel = placement === "parallel";
  return {
    ...parallel ? { scaling: 4 } : {},
    ...semantics !== "adapterhub"
      ? {}
      : parallel
      ? { reduction: 2 }
      : placement === "houlsby"
      ? { activation: "swish" }
      : {},
  };
}

const check = semanticParser("adapter", own);

function parse(options: MethodOptions): MethodOptions {
  return { ...check(options), ...placed(check(options)), ...options };
}

/**
 * Bottleneck adapter (Houlsby et al., 2019): f ← f + scaling · up(activation(down(z))), with biases,
 * on the output f of blocks.
 *
 * `placement` says which blocks, and what the adapter reads. `ffn`: the feed-forward blocks' output,
 * z = f. `pfeiffer` (Pfeiffer et al., 2021): there too, f and its residual as they join behind the
 * block, normalised where the family does (AdapterHub's seq_bn). `houlsby` (double_seq_bn): after attention and after the feed-forward
 * block, z = f. `parallel` (He et al., 2022): beside the feed-forward block, z its residual.
 *
 * The bottleneck is as given, or `auto`: max(1, ⌊width / reduction⌋). Adapters start with down
 * N(0, 0.02) and up N(0, 0.001), parallel ones with down uniform within ±1/√width and up at zero;
 * biases at zero. AdapterHub starts up as N(0, 0.02) too, OpenDelta both as N(0, 0.01); neither puts
 * one after cross-attention.
 */
export const adapter: Method = {
  name: "adapter",
  defaults: { semantics: "own", ...own.defaults },
  parse,
  label: (options) => {
    const { bottleneck, reduction, activation, placement, scaling } = options;
    const usual = parse({ semantics: options.semantics });
    const here = parse({ semantics: options.semantics, placement });
    return semanticLabel([
      bottleneck === "auto"
        ? `Adapter, reduction ${reduction}`
        : `Adapter, bottleneck ${bottleneck}`,
      activation === here.activation ? "" : `${activation}`,
      placement === usual.placement ? "" : `${placement}`,
      scaling === here.scaling ? "" : `scaling ${scaling}`,
    ], options);
  },
  semantics: semanticsOf(own),
  trains: "head",
  needsHead: false,
  startsAsBase: ({ placement }) =>
    placement === "parallel" || "the up-projection starts as small random numbers, not at zero",
  note: (sites, options) =>
    blocksOf({ sites }, options).length <
        blocksOf({ sites }, { ...options, semantics: "own" }).length
      ? "There is no adapter after cross-attention in this library"
      : null,
  scaling: ({ scaling }) => Number(scaling),
  attach: (target, options) => {
    const blocks = blocksOf(target, options);
    if (blocks.length === 0) {
      throw new RangeError(`Cannot attach adapter: the model has no feed-forward block`);
    }
    const act = activation(String(options.activation));
    for (const site of blocks) attachTo(site, target, act, options);
  },
};

function blocksOf(
  { sites }: Pick<Target, "sites">,
  { semantics, placement }: MethodOptions,
): BlockSite[] {
  return sites.filter((site): site is BlockSite =>
    site.kind === "ffn_out" || (
      site.kind === "attn_out" && placement === "houlsby" &&
      (semantics === "own" || !isCross(site, sites))
    )
  );
}

function attachTo(
  site: BlockSite,
  { delta }: Target,
  act: ReturnType<typeof activation>,
  options: MethodOptions,
): void {
  const { placement, bottleneck, reduction } = options;
  const { path, width } = site;
  const size = bottleneck === "auto"
    ? Math.max(1, Math.floor(width / Number(reduction)))
    : Number(bottleneck);
  const layer = (name: string, outputs: number, inputs: number, initializer: Initializer) => {
    const at = `${path}.${name}`;
    const w = delta.parameter(`${at}.weight`, [outputs, inputs], initializer, "trainable");
    const b = delta.parameter(`${at}.bias`, [outputs], { kind: "zeros" }, "trainable");
    return { w, b };
  };
  const start = startOf(options, width);
  const down = layer("adapter_down", size, width, start.down);
  const up = layer("adapter_up", width, size, start.up);
  const alpha = Number(options.scaling);
  site.transforms.push((output, residual) => {
    const read = placement === "pfeiffer"
      ? site.join(output, residual)
      : placement === "parallel"
      ? residual
      : output;
    const hidden = act(linear(read, down.w, { bias: down.b }));
    if (alpha === 1) return linear(hidden, up.w, { bias: up.b, addend: output });
    return add(output, scale(linear(hidden, up.w, { bias: up.b }), alpha));
  });
}

function startOf(
  { semantics, placement }: MethodOptions,
  width: number,
): { down: Initializer; up: Initializer } {
  const normal = (deviation: number): Initializer => ({ kind: "normal", deviation });
  if (placement === "parallel") {
    return { down: { kind: "uniform", bound: width ** -0.5 }, up: { kind: "zeros" } };
  }
  switch (semantics) {
    case "opendelta":
      return { down: normal(0.01), up: normal(0.01) };
    case "adapterhub":
      return { down: normal(0.02), up: normal(0.02) };
    default:
      return { down: normal(0.02), up: normal(0.001) };
  }
}
