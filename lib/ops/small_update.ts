import { smallUpdateKernel } from "../../kernels/small_update.ts";
import { UPDATE_BLOCK } from "../../kernels/update_block.ts";
import { paddedBytes } from "../graph/adjacent.ts";
import { constant } from "../graph/leaves.ts";
import { type Node, op } from "../graph/node.ts";
import type { AdamWFactors, AdamWTensor, AdamWTensors } from "./adamw.ts";
import { neighbourTable, sizeOf } from "./update_blocks.ts";

interface SmallUpdate extends AdamWFactors {
  /** How many tensors there are. */
  readonly count: number;
  readonly maxNorm: number | null;
}

/** Parameters, gradients, first and second moments, each in a buffer of its own kind. */
function roles({ inputs, attributes }: Node): Node[][] {
  const { count } = attributes as SmallUpdate;
  return [0, 1, 2, 3].map((role) => inputs.slice(role * count, (role + 1) * count));
}

const bytesOf = (nodes: readonly Node[]) =>
  nodes.reduce((sum, node) => sum + paddedBytes(sizeOf(node) * 4), 0);

const smallUpdateOp = op<SmallUpdate>({
  name: "small_update",
  groupable: true,
  // Its square, and what AdamW takes.
  flops: ({ inputs }, { count }) =>
    inputs.slice(0, count).reduce((sum, parameter) => sum + 18 * sizeOf(parameter), 0),
  inPlace: true,
  adjacent: roles,
  shape: ([parameter]) => parameter.shape,
  run: (node, { count, maxNorm, beta1, beta2, epsilon }, { shape }) => {
    const [tensors, schedule, step_count, clip] = node.inputs.slice(4 * count);
    const [w, g, m, v] = roles(node).map((own) => (
      { node: own[0], bytes: { start: 0, length: bytesOf(own) } }
    ));
    return [{
      kernel: smallUpdateKernel,
      bind: { tensors, schedule, step_count, clip, w, g, m, v },
      params: {
        ...{ count, limited: maxNorm === null ? 0 : 1, max_norm: maxNorm ?? 0 },
        ...{ steps: shape(schedule)[0], beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, epsilon },
      },
    }];
  },
});

/** Whether parameters are few and small enough for {@linkcode smallUpdate}: together no larger than a block. */
export function isSmall(parameters: readonly Node[]): boolean {
  return bytesOf(parameters) <= UPDATE_BLOCK * 4;
}

/**
 * A whole update in one launch: the gradients' norm and its limit, an AdamW step of all tensors, the
 * next step. To the bit what `gradNormPartials`, `clipCoefficient`, `adamw` and `advance` do, where no
 * loss is scaled.
 *
 * @param maxNorm Largest norm; null for no limit.
 * @returns The first parameter's new value, a root of the update program.
 */
export function smallUpdate(
  { tensors, schedule, step, clip, maxNorm, ...factors }:
    & AdamWTensors
    & AdamWFactors
    & Pick<SmallUpdate, "maxNorm">,
): Node {
  const inputs = (["parameter", "gradient", "first", "second"] as const)
    .flatMap((role) => tensors.map((tensor) => tensor[role]));
  const control = [tableOf(tensors), schedule, step, clip];
  return smallUpdateOp([...inputs, ...control], { ...factors, count: tensors.length, maxNorm });
}

/** The kernel's table, u32 [tensors, 4]. */
function tableOf(tensors: readonly AdamWTensor[]): Node {
  return constant(
    [tensors.length, 4],
    "u32",
    () =>
      neighbourTable(tensors.map(({ parameter }) => parameter), (size, start, tensor) => {
        const { weightDecay, rate = 1 } = tensors[tensor];
        return [[start, size, ...new Uint32Array(Float32Array.of(weightDecay, rate).buffer)]];
      }),
  );
}
