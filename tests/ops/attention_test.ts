import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { attention } from "../../lib/ops/attention.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { gpuTest, randomNormal } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/attention.ts";

testCases("attention()", cases);

const [T, H, K, D] = [40, 4, 2, 16];
const LENGTH = 21;

interface Given {
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly gradient: Float32Array;
  readonly bias: Float32Array;
}

/** One example alone, of random rows. */
function given(): Given {
  const random = (...dims: number[]) =>
    Float32Array.from(randomNormal(dims.reduce((a, b) => a * b)));
  return {
    queries: random(T, H, D),
    keys: random(T, K, D),
    values: random(T, K, D),
    gradient: random(T, H, D),
    bias: random(H, T, T),
  };
}

/**
 * Output and gradients of the first `LENGTH` rows of the first example, in a batch of so many, padded
 * to some length; gradients of padded rows are zero.
 */
async function firstRows(gpu: Gpu, x: Given, batch: number, length: number, causal: boolean) {
  const [q, g] = ["q", "g"].map((name) => input(name, [batch, length, H, D], "f32"));
  const [k, v] = ["k", "v"].map((name) => input(name, [batch, length, K, D], "f32"));
  const mask = input("mask", [batch, length], "f32");
  const bias = input("bias", [H, length, length], "f32");
  const y = attention(q, k, v, { mask, bias, causal, scale: 0.3 });
  const gradients = differentiate(y, g, [q, k, v], add);
  const outputs = [y, ...[q, k, v].map((node) => gradients.get(node)!.reduce(add))];
  const session = new Session(gpu);
  try {
    const program = session.program(outputs, {}, outputs);
    await session.build();
    session.poison();
    const rows = (values: Float32Array, heads: number, end = length) =>
      Float32Array.from({ length: batch * length * heads * D }, (_, i) => {
        const row = Math.floor(i / (heads * D)) % length;
        return row < end ? values[row * heads * D + i % (heads * D)] : 0;
      });
    session.write(program, {
      q: rows(x.queries, H),
      k: rows(x.keys, K),
      v: rows(x.values, K),
      g: rows(x.gradient, H, LENGTH),
      mask: Float32Array.from({ length: batch * length }, (_, i) => i % length < LENGTH ? 1 : 0),
      bias: Float32Array.from({ length: H * length * length }, (_, i) => {
        const [head, row] = [Math.floor(i / length ** 2), Math.floor(i / length) % length];
        return x.bias[(head * T + row) * T + i % length];
      }),
    });
    session.run([program]);
    const values = await session.read(program, outputs);
    return values.map((one, i) => one.slice(0, LENGTH * (i < 2 ? H : K) * D));
  } finally {
    session.destroy();
  }
}

gpuTest("attention() has the same bits in any batch and under any padding", async (gpu) => {
  for (const causal of [false, true]) {
    const x = given();
    const alone = await firstRows(gpu, x, 1, LENGTH, causal);
    for (const [batch, length] of [[3, LENGTH], [1, 24], [2, 40]]) {
      assertEquals(await firstRows(gpu, x, batch, length, causal), alone);
    }
  }
});

gpuTest(
  "attention() has the same bits through subgroups and through workgroup memory",
  async (gpu) => {
    const x = given();
    const first = await firstRows(gpu, x, 2, 40, true);
    const chosen = [...gpu.chosenKernels].map(([family, { name }]) => [family, name] as const);
    for (const [family, name] of chosen) {
      gpu.kernelChoices.set(family, name.replace(/_subgroup$/, "_shared"));
    }
    gpu.chosenKernels.clear();
    assertEquals(await firstRows(gpu, x, 2, 40, true), first);
    const names = [...gpu.chosenKernels.values()].map(({ name }) => name);
    assertEquals(names.length, 3);
    assert(names.every((name) => name.endsWith("_shared")), names.join(", "));
  },
);

/** Names of what gradients towards some inputs are computed by. */
function backwardNames(wrt: readonly string[]): string[] {
  const nodes = new Map(
    ["q", "k", "v"].map((name) => [name, input(name, [2, 9, 4, 8], "f32")] as const),
  );
  nodes.set("bias", input("bias", [4, 9, 9], "f32"));
  const [q, k, v, bias] = nodes.values();
  const y = attention(q, k, v, { bias });
  const targets = wrt.map((name) => nodes.get(name)!);
  const found = differentiate(y, input("g", y.shape, "f32"), targets, add);
  return topological([...found.values()].flat()).map(({ op }) => op.name)
    .filter((name) => !["input", "attention_forward", "reshape", "rows"].includes(name));
}

Deno.test("attention() computes the gradients that are asked for, those of a bias by way of all weights", () => {
  assertEquals(backwardNames(["q"]), ["attention_grad_queries"]);
  assertEquals(backwardNames(["v"]), ["attention_grad_keys"]);
  assertEquals(backwardNames(["q", "k", "v"]), ["attention_grad_keys", "attention_grad_queries"]);
  const all = backwardNames(["q", "bias"]);
  assert(all.includes("attention_softmax_grad") && !all.includes("attention_grad_queries"));
});

Deno.test("attention() refuses shapes that do not fit, and a scale of 0", () => {
  const node = (...shape: number[]) => input("x", shape, "f32");
  const q = node(2, 3, 4, 8);
  assertThrows(
    () => attention(q, node(2, 5, 3, 8), node(2, 5, 3, 8)),
    TypeError,
    "K a divisor of H",
  );
  assertThrows(
    () => attention(q, node(2, 5, 4, 8), node(2, 6, 4, 8)),
    TypeError,
    "[2, 5, 4, 8], [2, 6, 4, 8]",
  );
  assertThrows(() => attention(q, q, q, { mask: node(2, 4) }), TypeError, "mask [B, S]");
  assertThrows(() => attention(q, q, q, { scale: 0 }), RangeError, "by 0");
});
