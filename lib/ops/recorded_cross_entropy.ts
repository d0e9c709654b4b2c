import { FEW_CLASSES, recordedCrossEntropyKernel } from "../../kernels/recorded_cross_entropy.ts";
import { type Node, op, topological } from "../graph/node.ts";
import { rewrite } from "../graph/passes/rewrite.ts";
import { elements } from "../graph/shape.ts";

const recordedCrossEntropyOp = op<null>({
  name: "recorded_cross_entropy",
  // As cross-entropy and its gradient have it: each invocation has read a row when it writes there.
  overwrites: [0],
  flops: 10,
  shape: ([x]) => x.shape,
  run: (dx, _, { shape }) => {
    const [x, labels, g, losses, step_count, factor] = dx.inputs;
    const classes = shape(x)[x.shape.length - 1];
    return [{
      kernel: recordedCrossEntropyKernel(classes, factor !== undefined),
      bind: { x, labels, g, ...(factor === undefined ? {} : { factor }), step_count, dx, losses },
      params: {
        rows: elements(shape(labels)),
        g_r: elements(shape(g)) === 1 ? 0 : 1,
        capacity: shape(losses)[0],
      },
    }];
  },
});

/**
 * Records losses where their gradients are computed, in one launch: cross-entropies over few classes
 * are that short. Others are recorded as they were.
 *
 * @param recorded What `record` returned of each loss.
 * @param roots What rests on the losses' gradients.
 * @returns Roots that do both, to the same bits.
 */
export function recordWithGradient(recorded: readonly Node[], roots: readonly Node[]): Node[] {
  const order = topological(roots);
  const records = new Map<Node, Node>();
  for (const record of recorded) {
    const [, , terms] = record.inputs;
    const classes = terms.inputs[0]?.shape.at(-1);
    const few = typeof classes === "number" && classes <= FEW_CLASSES;
    if (terms.op.name !== "cross_entropy" || !few) continue;
    const gradient = order.find(({ op, inputs }) =>
      op.name === "cross_entropy_grad" && terms.inputs.every((one, i) => one === inputs[i])
    );
    if (gradient !== undefined) records.set(gradient, record);
  }
  const program = rewrite({ roots, replaced: new Map(), half: new Set() }, (node, over) => {
    const record = records.get(node);
    if (record === undefined) return over;
    const [losses, step, , ...factor] = record.inputs;
    const made = recordedCrossEntropyOp([...over.inputs, losses, step, ...factor], null);
    return { ...made, id: node.id };
  });
  const done = new Set(records.values());
  return [...recorded.filter((record) => !done.has(record)), ...program.roots];
}
