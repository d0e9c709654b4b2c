/**
 * Running a graph by ONNX Runtime, through a file as it is exported.
 *
 * @module
 */

import { assert } from "@std/assert";
import { lower, ownInputs } from "../lib/graph/lower.ts";
import type { Node } from "../lib/graph/node.ts";
import type { OnnxGraph, OnnxPort } from "../lib/graph/onnx.ts";
import { type Sizes, symbol } from "../lib/graph/shape.ts";
import {
  type OnnxSession,
  type OnnxSessionOptions,
  openOnnxSession,
} from "../lib/infer/session.ts";
import { ONNX_FILE, writeOnnx } from "../lib/onnx/model_file.ts";

/** Opens a graph in a session, from a file that is gone afterwards. */
export async function openGraph<T>(
  graph: OnnxGraph,
  values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
  use: (session: OnnxSession) => Promise<T>,
  { threads = 1, ...options }: OnnxSessionOptions = {},
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    await writeOnnx(folder, graph, { values, name: "test", version: "0.0.0", metadata: {} });
    const session = await openOnnxSession(`${folder}/${ONNX_FILE}`, { threads, ...options });
    try {
      return await use(session);
    } finally {
      await session.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * The value of a node whose inputs are the graph's own.
 *
 * @param sizes Numbers bound to symbols, each the length of a further input.
 */
export async function runNode(
  node: Node,
  inputs: Readonly<Record<string, { data: ArrayLike<number>; dims: readonly number[] }>>,
  sizes: Sizes = {},
): Promise<Float32Array> {
  const { ports, sources } = ownInputs([node]);
  const lengths = Object.keys(sizes).map((name): OnnxPort => ({
    name,
    type: "float",
    shape: [symbol(name)],
  }));
  const graph = lower(new Map([["y", node]]), { ports: [...ports, ...lengths], sources });
  return await openGraph(graph, new Map(), async (session) => {
    const wanted = graph.inputs.map(({ name, type }) => {
      if (name in sizes) {
        return [name, { data: new Float32Array(sizes[name]), dims: [sizes[name]] }] as const;
      }
      const { data, dims } = inputs[name];
      const list = type === "int64"
        ? BigInt64Array.from(Array.from(data, BigInt))
        : Float32Array.from(data);
      return [name, { data: list, dims }] as const;
    });
    const { data } = (await session.run(Object.fromEntries(wanted))).get("y")!;
    assert(data instanceof Float32Array);
    return data;
  });
}
