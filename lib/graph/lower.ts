/**
 * The third reader of a graph: lowers it to ONNX, node by node.
 *
 * @module
 */

import { constantAttributes, inputAttributes, variableAttributes } from "./leaves.ts";
import { type Node, topological } from "./node.ts";
import {
  ONNX_OPSET,
  type OnnxBuilder,
  type OnnxGraph,
  OnnxGraphBuilder,
  type OnnxParameter,
  type OnnxPort,
  type OnnxValue,
} from "./onnx.ts";
import { formatShape } from "./shape.ts";

/** Inputs of a lowered graph, where they are not those of the graph itself. */
export interface OnnxInputs {
  /** What a caller of the file gives. */
  readonly ports: readonly OnnxPort[];
  /** How each of the graph's inputs, by its name, follows from these. */
  readonly sources: Readonly<Record<string, (graph: OnnxBuilder) => OnnxValue>>;
}

/**
 * Lowers what some nodes rest on to ONNX.
 *
 * @param outputs Nodes, all f32, by the names that the file gives them.
 * @param inputs {@linkcode ownInputs} unless given.
 * @throws TypeError naming an operation that has no lowering, a constant that depends on the sizes
 *   of a batch and does not say how, or an input without a source.
 */
export function lower(outputs: ReadonlyMap<string, Node>, inputs?: OnnxInputs): OnnxGraph {
  const order = topological([...outputs.values()]);
  const { ports, sources } = inputs ?? ownInputs([...outputs.values()]);
  const graph = new OnnxGraphBuilder(ports);
  const parameters: OnnxParameter[] = [];
  const values = new Map<Node, OnnxValue>();
  // Nodes of one name share what it stands for, as programs do.
  const held = new Set<string>();
  for (const node of order) {
    switch (node.op.leaf) {
      case "input": {
        const { name } = inputAttributes(node);
        if (!Object.hasOwn(sources, name)) {
          throw new TypeError(
            `Cannot lower to ONNX: input ${name} has no source; found ${
              Object.keys(sources).join(", ") || "none"
            }`,
          );
        }
        values.set(node, sources[name](graph));
        break;
      }
      case "variable": {
        const { name, shape } = variableAttributes(node);
        if (!held.has(name)) parameters.push({ name, shape });
        held.add(name);
        values.set(node, name);
        break;
      }
      case "constant":
        values.set(node, constantValue(node, graph));
        break;
      default:
        values.set(node, node.op.onnx(node, node.inputs.map((one) => values.get(one)!), graph));
    }
  }
  const named = [...outputs].map(([name, node]) => ({
    operator: "Identity",
    inputs: [values.get(node)!],
    output: name,
    attributes: {},
  }));
  return {
    opset: ONNX_OPSET,
    inputs: ports,
    outputs: [...outputs].map(([name, { shape }]) => ({ name, type: "float", shape })),
    nodes: [...graph.nodes, ...named],
    constants: graph.constants,
    parameters,
  };
}

/** The inputs that some nodes rest on, under their own names, whole numbers as int64. */
export function ownInputs(roots: readonly Node[]): OnnxInputs {
  const ports = new Map<string, OnnxPort>();
  for (const node of topological(roots)) {
    if (node.op.leaf !== "input") continue;
    const { name, shape, dtype } = inputAttributes(node);
    ports.set(name, { name, shape, type: dtype === "f32" ? "float" : "int64" });
  }
  return {
    ports: [...ports.values()],
    sources: Object.fromEntries([...ports.keys()].map((name) => [name, () => name])),
  };
}

function constantValue(node: Node, graph: OnnxBuilder): OnnxValue {
  const { shape, dtype, compute, onnx } = constantAttributes(node);
  if (onnx !== undefined) return onnx(graph);
  const numbers = shape.filter((dim) => typeof dim === "number");
  if (numbers.length < shape.length) {
    throw new TypeError(
      `Cannot lower to ONNX: a constant ${
        formatShape(shape)
      } depends on the sizes of a batch and has no formula; give it one where it is made`,
    );
  }
  const values = [...compute(numbers)];
  return dtype === "f32" ? graph.floats(values, numbers) : graph.ints(values, numbers);
}
