/**
 * Programs before any pass, and what they compute with and without passes.
 *
 * @module
 */

import type { Gpu } from "../../../lib/gpu/device.ts";
import { Session } from "../../../lib/gpu/session.ts";
import { inputAttributes } from "../../../lib/graph/leaves.ts";
import { type Node, topological } from "../../../lib/graph/node.ts";
import type { Pass, Rewritten } from "../../../lib/graph/passes/rewrite.ts";
import { fullPrecision, type StoragePolicy } from "../../../lib/graph/precision.ts";
import { bindShape, elements } from "../../../lib/graph/shape.ts";

/** A program that no pass has seen. */
export function program(roots: readonly Node[], half: Iterable<Node> = []): Rewritten {
  return { roots, replaced: new Map(), half: new Set(half) };
}

/** What nodes hold after a run over fixed inputs between −2 and 2, and the kernels of it. */
export async function results(
  gpu: Gpu,
  nodes: readonly Node[],
  passes?: readonly Pass[],
  policy: StoragePolicy = fullPrecision,
): Promise<{ kernels: string[]; values: Uint32Array<ArrayBuffer>[] }> {
  const session = new Session(gpu, policy, passes);
  try {
    const program = session.program(nodes, {}, nodes);
    await session.build();
    session.poison();
    const leaves = topological(nodes).filter(({ op }) => op.leaf === "input");
    session.write(
      program,
      Object.fromEntries(leaves.map((node, n) => {
        const { name, shape, dtype } = inputAttributes(node);
        const count = elements(bindShape(shape, {}));
        const values = Float32Array.from({ length: count }, (_, i) => 2 * Math.sin(n + 1 + 7 * i));
        return [name, dtype === "f32" ? values : new Uint32Array(count).fill(n + 1)];
      })),
    );
    session.run([program]);
    const values = await session.read(program, nodes);
    return {
      kernels: program.kernels,
      values: values.map(({ buffer }) => new Uint32Array(buffer)),
    };
  } finally {
    session.destroy();
  }
}
