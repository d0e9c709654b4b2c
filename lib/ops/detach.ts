import { type Node, op } from "../graph/node.ts";

const detachOp = op<null>({
  name: "detach",
  view: true,
  stopsGradient: true,
  shape: ([x]) => x.shape,
  dtype: ([x]) => x.dtype,
  run: () => [],
  onnx: (_, [x]) => x,
});

/** `x` as a constant: the same values, through which no gradient passes. */
export function detach(x: Node): Node {
  return detachOp([x], null);
}
