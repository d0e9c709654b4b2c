import type { Node } from "../graph/node.ts";
import { einsum, type EinsumOptions } from "../ops/einsum.ts";
import type { Initializer, Scope } from "./scope.ts";
import type { Context, LinearSite, WeightLayout } from "./site.ts";

const LEADING = "abdefg";

/** W·x for x: [..., c], w: [n, c], or [c, n] where its layout says so; gives [..., n]. */
export function linear(
  x: Node,
  w: Node,
  options: EinsumOptions = {},
  layout: WeightLayout = "out_in",
): Node {
  const leading = LEADING.slice(0, x.shape.length - 1);
  const matrix = layout === "out_in" ? "nc" : "cn";
  return einsum(`${leading}c,${matrix}->${leading}n`, x, w, options);
}

/** Sizes and starting values of a {@linkcode Linear}. */
export interface LinearOptions {
  readonly bias: boolean;
  readonly initializer: Initializer;
  /** How the weight is stored; [outputs, inputs] unless given. */
  readonly layout?: WeightLayout;
}

/** A linear layer, and the site it is: parameters `<path>.weight` and `<path>.bias`. */
export class Linear {
  readonly weight: Node;
  readonly bias: Node | undefined;
  readonly site: LinearSite;

  /** Declares the layer's parameters and its site. */
  constructor(
    scope: Scope,
    path: string,
    inputs: number,
    outputs: number,
    { bias, initializer, layout = "out_in" }: LinearOptions,
  ) {
    const shape = layout === "out_in" ? [outputs, inputs] : [inputs, outputs];
    this.weight = scope.parameter(`${path}.weight`, shape, initializer);
    this.bias = bias ? scope.parameter(`${path}.bias`, [outputs], { kind: "zeros" }) : undefined;
    this.site = {
      kind: "linear",
      path,
      inputs,
      outputs,
      weight: this.weight,
      layout,
      bias: this.bias,
      inputTransforms: [],
      transforms: [],
    };
    scope.sites.push(this.site);
  }

  /** x: [..., inputs] to [..., outputs]. */
  apply(x: Node, context: Context): Node {
    const { layout, inputTransforms, transforms } = this.site;
    const input = inputTransforms.reduce((x, transform) => transform(x, context), x);
    const y = linear(input, this.weight, { bias: this.bias }, layout);
    return transforms.reduce((output, transform) => transform(input, output, context), y);
  }
}
