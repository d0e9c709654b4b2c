import { linear } from "../layers/linear.ts";
import type { Method } from "./method.ts";
import { count, names, optionParser, positive, probability } from "./options.ts";
import { linearTargets } from "./targets.ts";

const defaults = { rank: 8, alpha: 16, dropout: 0, targets: "auto" };

/**
 * LoRA (Hu et al., 2021): y = W·x + (alpha / rank) · B·(A·x), W frozen.
 *
 * A `<path>.lora_A.weight` [rank, inputs] starts uniform within ±1/√inputs, B
 * `<path>.lora_B.weight` [outputs, rank] at zero, as PEFT has it. The product stays factored.
 */
export const lora: Method = {
  name: "lora",
  defaults,
  parse: optionParser("lora", defaults, {
    rank: count,
    alpha: positive,
    dropout: probability,
    targets: names,
  }),
  label: ({ rank, alpha, targets, dropout }) =>
    [
      `LoRA, rank ${rank}`,
      alpha === defaults.alpha ? "" : `, alpha ${alpha}`,
      dropout === 0 ? "" : `, dropout ${dropout}`,
      targets === "auto" ? "" : `, on ${targets}`,
    ].join(""),
  trains: "head",
  needsHead: false,
  startsAsBase: true,
  attach: ({ sites, delta }, options) => {
    const rank = Number(options.rank);
    const scale = Number(options.alpha) / rank;
    const dropout = Number(options.dropout);
    for (const site of linearTargets("lora", sites, String(options.targets))) {
      const a = delta.parameter(`${site.path}.lora_A.weight`, [rank, site.inputs], {
        kind: "uniform",
        bound: site.inputs ** -0.5,
      }, "trainable");
      const b = delta.parameter(`${site.path}.lora_B.weight`, [site.outputs, rank], {
        kind: "zeros",
      }, "trainable");
      site.transforms.push((x, y, context) => {
        const input = dropout > 0 && context.dropout !== undefined
          ? context.dropout(x, dropout, `${site.path}.lora_dropout`)
          : x;
        return linear(linear(input, a), b, { alpha: scale, addend: y });
      });
    }
  },
};
