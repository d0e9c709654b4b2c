import type { Node } from "../graph/node.ts";
import { layerNorm } from "../ops/layer_norm.ts";
import type { Scope } from "./scope.ts";

/** Layer norm with `<path>.weight` and `<path>.bias` [width] (Ba, Kiros and Hinton, 2016). */
export class LayerNorm {
  readonly weight: Node;
  readonly bias: Node;
  readonly epsilon: number;

  /** Declares weight and bias. */
  constructor(scope: Scope, path: string, width: number, epsilon: number) {
    this.weight = scope.parameter(`${path}.weight`, [width], { kind: "ones" });
    this.bias = scope.parameter(`${path}.bias`, [width], { kind: "zeros" });
    this.epsilon = epsilon;
  }

  /** x: [..., width], unchanged in shape. */
  apply(x: Node): Node {
    return layerNorm(x, this.weight, this.bias, this.epsilon);
  }
}
