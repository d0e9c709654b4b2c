import type { Node } from "../graph/node.ts";
import { einsum, type EinsumOptions } from "../ops/einsum.ts";
import type { Initializer, Scope } from "./scope.ts";
import type { Context, LinearSite } from "./site.ts";

const LEADING = "abdefg";

/** x·Wᵀ for x: [..., c], w: [n, c]; gives [..., n]. */
export function linear(x: Node, w: Node, options: EinsumOptions = {}): Node {
  const leading = LEADING.slice(0, x.shape.length - 1);
  return einsum(`${leading}c,nc->${leading}n`, x, w, options);
}

/** A linear layer, and the site it is: parameters `<path>.weight` [outputs, inputs], `<path>.bias`. */
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
    options: { bias: boolean; initializer: Initializer },
  ) {
    this.weight = scope.parameter(`${path}.weight`, [outputs, inputs], options.initializer);
    this.bias = options.bias
      ? scope.parameter(`${path}.bias`, [outputs], { kind: "zeros" })
      : undefined;
    this.site = { kind: "linear", path, inputs, outputs, transforms: [] };
    scope.sites.push(this.site);
  }

  /** x: [..., inputs] to [..., outputs]. */
  apply(x: Node, context: Context): Node {
    const y = linear(x, this.weight, { bias: this.bias });
    return this.site.transforms.reduce((output, transform) => transform(x, output, context), y);
  }
}
