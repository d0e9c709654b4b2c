import type { Node } from "../graph/node.ts";
import { add } from "../ops/elementwise.ts";
import { slice } from "../ops/concat.ts";
import type { Initializer, Scope } from "./scope.ts";
import type { Sequence } from "./site.ts";

/** Learned positions: a table `<path>.weight` [positions, width] whose rows are added to tokens. */
export class PositionEmbedding {
  readonly weight: Node;

  /** Declares the table. */
  constructor(
    scope: Scope,
    path: string,
    positions: number,
    width: number,
    initializer: Initializer,
  ) {
    this.weight = scope.parameter(`${path}.weight`, [positions, width], initializer);
  }

  /**
   * x: [B, T, width] plus the rows of its positions, counted from the sequence's start.
   *
   * What runs it throws RangeError where the sequence ends behind the last position.
   */
  add(x: Node, { start, length }: Pick<Sequence, "start" | "length">): Node {
    return add(x, slice(this.weight, 0, start, length));
  }
}
