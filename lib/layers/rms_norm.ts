import type { Node } from "../graph/node.ts";
import { rmsNorm } from "../ops/rms_norm.ts";
import type { Scope } from "./scope.ts";

/** Root-mean-square norm with a gain `<path>.weight` [width] (Zhang and Sennrich, 2019). */
export class RmsNorm {
  readonly weight: Node;
  readonly epsilon: number;

  /** Declares the gain. */
  constructor(scope: Scope, path: string, width: number, epsilon: number) {
    this.weight = scope.parameter(`${path}.weight`, [width], { kind: "ones" });
    this.epsilon = epsilon;
  }

  /** x: [..., width], unchanged in shape. */
  apply(x: Node): Node {
    return rmsNorm(x, this.weight, this.epsilon);
  }
}
