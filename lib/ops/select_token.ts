import { selectTokenGradKernel, selectTokenKernel } from "../../kernels/select_token.ts";
import { type Node, op } from "../graph/node.ts";
import { formatShape, sameShape, type Shape } from "../graph/shape.ts";

const selectTokenOp = op<null>({
  name: "select_token",
  shape: ([x, index]) => {
    const fits = x.shape.length === 3 && index.dtype === "u32" &&
      sameShape(index.shape, x.shape.slice(0, 1));
    if (!fits) {
      throw new TypeError(
        `Cannot select tokens of ${formatShape(x.shape)} by ${index.dtype} ${
          formatShape(index.shape)
        }: they must be [B, T, C] and u32 [B]`,
      );
    }
    return [x.shape[0], x.shape[2]];
  },
  run: (y, _, { shape }) => {
    const [x, index] = y.inputs;
    const [batch, tokens, width] = shape(x);
    return [{
      kernel: selectTokenKernel,
      bind: { x, index, y },
      params: { batch, tokens, width },
    }];
  },
  backward: ({ inputs: [x, index] }, g) => [
    selectTokenGradOp([g, index], { shape: x.shape }),
    null,
  ],
  onnx: (graph, [x, index]) => {
    const places = graph.node("Unsqueeze", [index, graph.ints([-1])]);
    return graph.node("GatherND", [x, places], { batch_dims: 1 });
  },
});

const selectTokenGradOp = op<{ shape: Shape }>({
  name: "select_token_grad",
  shape: (_, { shape }) => shape,
  run: (dx, _, { shape }) => {
    const [g, index] = dx.inputs;
    const [batch, tokens, width] = shape(dx);
    return [{
      kernel: selectTokenGradKernel,
      bind: { g, index, dx },
      params: { batch, tokens, width },
    }];
  },
});

/**
 * One token of each example: y[b, c] = x[b, index[b], c].
 *
 * @param x [B, T, C].
 * @param index u32 [B], each below T.
 * @returns [B, C].
 */
export function selectToken(x: Node, index: Node): Node {
  return selectTokenOp([x, index], null);
}
