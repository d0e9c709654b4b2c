import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, inputAttributes } from "../../lib/graph/leaves.ts";
import { type Node, topological } from "../../lib/graph/node.ts";
import type { StoragePolicy } from "../../lib/graph/precision.ts";
import { bindShape, elements } from "../../lib/graph/shape.ts";
import { gelu } from "../../lib/ops/activations.ts";
import { attentionSoftmax } from "../../lib/ops/attention_softmax.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { add, multiply } from "../../lib/ops/elementwise.ts";
import { layerNorm } from "../../lib/ops/layer_norm.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { rmsNorm } from "../../lib/ops/rms_norm.ts";
import { gpuTest } from "../check_op.ts";

/** Bits of some nodes, and how large the arena is; `keep` are held to the end, so not written over. */
async function run(
  gpu: Gpu,
  roots: readonly Node[],
  keep: readonly Node[],
  policy?: StoragePolicy,
) {
  const session = new Session(gpu, policy, []);
  try {
    const program = session.program(roots, {}, keep);
    await session.build();
    session.poison();
    const leaves = topological(roots).filter(({ op }) => op.leaf === "input");
    session.write(
      program,
      Object.fromEntries(leaves.map((node, n) => {
        const { name, shape, dtype } = inputAttributes(node);
        const count = elements(bindShape(shape, {}));
        const values = Float32Array.from({ length: count }, (_, i) => Math.sin(n + 1 + 7 * i));
        return [name, dtype === "f32" ? values : new Uint32Array(count).fill(n + 1)];
      })),
    );
    session.run([program]);
    const values = await session.read(program, roots);
    return {
      bits: values.map(({ buffer }) => new Uint32Array(buffer)),
      bytes: session.memory().activations,
    };
  } finally {
    session.destroy();
  }
}

/** A chain through every operation that can work in place, rows of `width`, and its gradient. */
function chain(width: number): Node[] {
  const shape = [2, 2, 3, width];
  const x = input("x", shape, "f32");
  const keys = [
    input("examples", [2], "u32"),
    input("step", [1], "u32"),
    input("seed", [1], "u32"),
  ];
  const drop = (node: Node, site: string) =>
    dropout(node, { probability: 0.3, site, examples: keys[0], step: keys[1], seed: keys[2] });
  const vector = (name: string) => input(name, [width], "f32");
  const weights = attentionSoftmax(drop(x, "scores"), { scale: 0.7 });
  const normed = rmsNorm(add(drop(weights, "weights"), vector("v")), vector("r"), 1e-5);
  const flat = reshape(gelu(normed), [12, width]);
  const y = layerNorm(multiply(flat, vector("m")), vector("w"), vector("b"), 1e-5);
  const gradients = differentiate(y, input("g", y.shape, "f32"), [x], add);
  return [y, gradients.get(x)![0]];
}

for (const width of [8, 12, 300]) {
  for (const half of [false, true]) {
    const name = `rows of ${width} in ${half ? "f16" : "f32"} written in place hold the same bits`;
    gpuTest(name, async (gpu) => {
      const roots = chain(width);
      const computed = topological(roots).filter(({ op }) => op.leaf === undefined && !op.view);
      const policy = half ? () => new Set(computed) : undefined;
      const apart = await run(gpu, roots, computed, policy);
      const inPlace = await run(gpu, roots, roots, policy);
      assertEquals(inPlace.bits, apart.bits);
      assert(inPlace.bits.every((bits) => bits.some((value) => value !== 0)));
      assert(inPlace.bytes < apart.bytes);
    });
  }
}

gpuTest("what must stay is not written over", async (gpu) => {
  const x = input("x", [4, 8], "f32");
  const kept = gelu(x);
  const roots = [gelu(kept), kept];
  const { bits } = await run(gpu, roots, roots);
  assertEquals(bits[1], (await run(gpu, [kept], [kept])).bits[0]);
});
