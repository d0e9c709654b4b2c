import { linear } from "../layers/linear.ts";
import type { BlockSite } from "../layers/site.ts";
import { activation } from "../ops/activations.ts";
import { add } from "../ops/elementwise.ts";
import type { Method } from "./method.ts";
import { count, oneOf, optionParser } from "./options.ts";

const defaults = { bottleneck: 8, activation: "relu", placement: "ffn" };

/**
 * Bottleneck adapter (Houlsby et al., 2019) after the feed-forward block f of every layer:
 * f ← f + up(activation(down(z))), with biases.
 *
 * `placement` says what it reads: `ffn` the block's output, z = f; `pfeiffer` (Pfeiffer et al.,
 * 2021; AdapterHub's seq_bn) that and the residual, z = f + residual. The down-projection starts
 * as N(0, 0.02), the up-projection as N(0, 0.001), biases at zero.
 */
export const adapter: Method = {
  name: "adapter",
  defaults,
  parse: optionParser("adapter", defaults, {
    bottleneck: count,
    activation: oneOf("relu", "gelu", "gelu_new", "silu", "swish", "tanh"),
    placement: oneOf("ffn", "pfeiffer"),
  }),
  label: ({ bottleneck, activation, placement }) =>
    [
      `Adapter, bottleneck ${bottleneck}`,
      activation === defaults.activation ? "" : `, ${activation}`,
      placement === defaults.placement ? "" : `, ${placement}`,
    ].join(""),
  trains: "head",
  needsHead: false,
  startsAsBase: "the up-projection starts as small random numbers, not at zero",
  attach: ({ sites, delta }, options) => {
    const size = Number(options.bottleneck);
    const act = activation(String(options.activation));
    const blocks = sites.filter((site): site is BlockSite => site.kind === "ffn_out");
    if (blocks.length === 0) {
      throw new RangeError(`Cannot attach adapter: the model has no feed-forward block`);
    }
    for (const site of blocks) {
      const layer = (name: string, outputs: number, inputs: number, deviation: number) => {
        const path = `${site.path}.${name}`;
        const w = delta.parameter(`${path}.weight`, [outputs, inputs], {
          kind: "normal",
          deviation,
        }, "trainable");
        const b = delta.parameter(`${path}.bias`, [outputs], { kind: "zeros" }, "trainable");
        return { w, b };
      };
      const down = layer("adapter_down", size, site.width, 0.02);
      const up = layer("adapter_up", site.width, size, 0.001);
      site.transforms.push((output, residual) => {
        const read = options.placement === "pfeiffer" ? add(output, residual) : output;
        const hidden = act(linear(read, down.w, { bias: down.b }));
        return linear(hidden, up.w, { bias: up.b, addend: output });
      });
    }
  },
};
