import type { Node } from "../graph/node.ts";
import { add } from "../ops/elementwise.ts";
import type { Scope } from "./scope.ts";
import type { BlockSite, Context } from "./site.ts";

/** The place where a block's output joins the residual stream, and the site it is. */
export class BlockOutput {
  readonly site: BlockSite;

  /**
   * Declares the site.
   *
   * @param norm What a family that normalises behind its blocks does with the sum.
   */
  constructor(
    scope: Scope,
    kind: BlockSite["kind"],
    path: string,
    width: number,
    norm: (x: Node) => Node = (x) => x,
  ) {
    const join = (output: Node, residual: Node) => norm(add(residual, output));
    this.site = { kind, path, width, join, transforms: [] };
    scope.sites.push(this.site);
  }

  /** residual + (transformed) output, both [B, T, width], normalised where the family does. */
  join(output: Node, residual: Node, context: Context): Node {
    const changed = this.site.transforms.reduce(
      (y, transform) => transform(y, residual, context),
      output,
    );
    return this.site.join(dropped(changed, context, this.site.path), residual);
  }
}

/**
 * Dropout inside the frozen base, where the run asks for it.
 *
 * @param own A probability that the model's configuration sets for this place alone.
 */
export function dropped(
  x: Node,
  context: Context,
  site: string,
  own: number | null = null,
): Node {
  const { dropout, frozenDropout = 0 } = context;
  const probability = frozenDropout === 0 ? 0 : own ?? frozenDropout;
  return dropout === undefined || probability === 0
    ? x
    : dropout(x, probability, `${site}.dropout`);
}
