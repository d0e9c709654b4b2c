/**
 * Operations that passes make of others.
 *
 * @module
 */

import { type Elementwise, OPERANDS } from "../../../kernels/elementwise.ts";
import { epilogueOperand, withEpilogue } from "../../../kernels/epilogue.ts";
import { inPlace } from "../../../kernels/in_place.ts";
import { constantParams, elementwiseDispatch, reading } from "../elementwise.ts";
import type { Dispatch, Node, Op, RunContext, ShapeOf } from "../node.ts";

/** One launch of a function that is made of some nodes' functions. */
export function elementwiseOp(made: Elementwise, parts: readonly Node[]): Op {
  return {
    ...derived(
      made.name,
      (node, { shape }) => [elementwiseDispatch(made, node.inputs, node, shape)],
      parts,
      ({ inputs }) => inputs.map((_, i) => i),
    ),
    groupable: true,
  };
}

/**
 * A node's launches, of which the last one that writes an element applies a function to it.
 *
 * The operation's inputs are those of the host, and the further operands of the function.
 *
 * @param host Node whose operation has an `epilogue`.
 * @param made Function of the host's result, and of the operands.
 * @param parts The nodes that the function is made of.
 */
export function epilogueOp(host: Node, made: Elementwise, parts: readonly Node[]): Op {
  const own = host.inputs.length;
  const run = (node: Node, context: RunContext): Dispatch[] => {
    const alone = { ...host, inputs: node.inputs.slice(0, own) };
    const launches = host.op.run(alone, context).map((dispatch) => ({
      ...dispatch,
      bind: Object.fromEntries(
        Object.entries(dispatch.bind).map(([name, bound]) => {
          if (bound === alone) return [name, node];
          return [name, "node" in bound && bound.node === alone ? { ...bound, node } : bound];
        }),
      ),
    }));
    const operands = node.inputs.slice(own);
    const fused = launches.length === 1
      ? applied(launches[0], host.op.epilogue!, made, operands, node, context.shape)
      : null;
    return fused !== null ? [fused] : [...launches, after(made, operands, node, context.shape)];
  };
  return {
    ...derived(
      `${host.op.name}+${made.name}`,
      run,
      [host, ...parts],
      () => host.op.overwrites?.(host) ?? [],
    ),
    groupable: host.op.groupable,
  };
}

/** The launch with the function in it; null where it does not write the whole output so. */
function applied(
  { kernel, bind, params, tune }: Dispatch,
  written: string,
  made: Elementwise,
  operands: readonly Node[],
  node: Node,
  shape: ShapeOf,
): Dispatch | null {
  const readings = operands.map((operand, i) => reading(operand, node, i + 1, shape));
  const wide = kernel.writes[written] === "vec4<f32>";
  if (bind[written] !== node || (wide && readings.some(({ byFour }) => !byFour))) return null;
  return {
    kernel: withEpilogue(kernel, written, made, readings.map(({ access }) => access)),
    bind: {
      ...bind,
      ...Object.fromEntries(
        operands.map((operand, i) => [epilogueOperand(OPERANDS[i + 1]), operand]),
      ),
    },
    params: {
      ...params,
      ...constantParams(made),
      ...Object.assign({}, ...readings.map(({ params }) => params)),
    },
    tune,
  };
}

/** The function as a launch of its own, over what the ones before it have written. */
function after(
  made: Elementwise,
  operands: readonly Node[],
  node: Node,
  shape: ShapeOf,
): Dispatch {
  const { kernel, bind, params } = elementwiseDispatch(made, [node, ...operands], node, shape);
  return { kernel: inPlace(kernel, "x_a", "y"), bind, params };
}

/** An operation of programs alone, which takes as many operations as its parts do. */
export function derived(
  name: string,
  run: Op["run"],
  parts: readonly Node[],
  overwrites: Op["overwrites"],
): Op {
  const never = () => {
    throw new TypeError(`Cannot differentiate or lower ${name}: passes come after that`);
  };
  return {
    name,
    differentiable: false,
    lowerable: false,
    overwrites,
    run,
    backward: never,
    onnx: never,
    flops: (_, shape) => parts.reduce((sum, part) => sum + part.op.flops(part, shape), 0),
  };
}
