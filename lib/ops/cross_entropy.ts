import { crossEntropyGradKernel, crossEntropyKernel } from "../../kernels/cross_entropy.ts";
import { type Node, op } from "../graph/node.ts";
import { elements, formatShape, sameShape } from "../graph/shape.ts";
import { unbroadcast } from "./elementwise.ts";

const crossEntropyOp = op<null>({
  name: "cross_entropy",
  // Maximum, difference, exponential, sum.
  flops: ({ inputs: [x] }, _, shape) => 4 * elements(shape(x)),
  shape: ([logits, labels]) => {
    if (labels.dtype !== "i32" || !sameShape(logits.shape.slice(0, -1), labels.shape)) {
      throw new TypeError(
        `Cannot take the cross-entropy of ${formatShape(logits.shape)} and ${labels.dtype} ${
          formatShape(labels.shape)
        }: there must be one i32 label for each row of logits`,
      );
    }
    return labels.shape;
  },
  run: (y, _, { shape }) => {
    const [x, labels] = y.inputs;
    const sizes = perRow(shape(x));
    return [{ kernel: crossEntropyKernel(sizes.params.classes), bind: { x, labels, y }, ...sizes }];
  },
  backward: ({ inputs: [x, labels] }, g, needs) => [
    needs[0] ? crossEntropyGradOp([x, labels, unbroadcast(g)], null) : null,
    null,
  ],
});

const crossEntropyGradOp = op<null>({
  name: "cross_entropy_grad",
  // Each invocation has read an element of the logits when it writes there: a vocabulary's rows lie
  // in memory once.
  overwrites: [0],
  flops: 6, // softmax and (p − y)·g
  shape: ([x]) => x.shape,
  run: (dx, _, { shape }) => {
    const [x, labels, g] = dx.inputs;
    const { params, tune } = perRow(shape(x));
    const g_r = elements(shape(g)) === 1 ? 0 : 1;
    return [{
      kernel: crossEntropyGradKernel(params.classes),
      bind: { x, labels, g, dx },
      params: { ...params, g_r },
      tune,
    }];
  },
});

/** Sizes, and a workgroup that suits the number of classes: label words in pairs, or a vocabulary. */
function perRow(shape: readonly number[]) {
  const classes = shape[shape.length - 1];
  const wg = classes < 32 ? 8 : classes < 2048 ? 64 : 256;
  return { params: { rows: elements(shape.slice(0, -1)), classes }, tune: { wg } };
}

/**
 * Negative log-likelihood of each row's label under softmax(logits).
 *
 * @param logits [..., V].
 * @param labels i32 [...], each in [0, V), or −100 for a row that does not count.
 * @returns [...]: log Σ exp(logits) − logits[label], 0 where the label is −100.
 * @throws TypeError where the shapes do not fit or labels are not i32.
 */
export function crossEntropy(logits: Node, labels: Node): Node {
  return crossEntropyOp([logits, labels], null);
}
