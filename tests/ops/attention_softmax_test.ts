import { assert, assertEquals, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/attention_softmax.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { attentionSoftmax } from "../../lib/ops/attention_softmax.ts";

testCases("attentionSoftmax()", cases);

gpuTest("attentionSoftmax() is 0 where masked, stable, and passes NaN on", async (gpu) => {
  const [T, S] = [3, 5];
  const x = input("x", [2, 1, T, S], "f32");
  const mask = input("mask", [2, S], "f32");
  const g = input("g", x.shape, "f32");
  const y = attentionSoftmax(x, { mask });
  const [dx] = differentiate(y, g, [x], add).get(x)!;
  const session = new Session(gpu);
  try {
    const program = session.program([y, dx], {}, [y, dx]);
    await session.build();
    session.poison();
    const row = [1000, -1000, 999, NaN, Infinity];
    const broken = [1, 2, NaN, 4, 5];
    const plain = [1, 2, 3, 4, 5];
    session.write(program, {
      x: Float32Array.from([...row, ...plain, ...broken, ...plain, ...plain, ...plain]),
      mask: Float32Array.from([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
      g: new Float32Array(2 * T * S).fill(1).map((_, i) => i),
    });
    session.run([program]);
    const [p, gradient] = await session.read(program, [y, dx]);
    const total = 1 + Math.exp(-1);
    [1 / total, 0, Math.exp(-1) / total, 0, 0].forEach((value, i) =>
      assert(Math.abs(p[i] - value) < 1e-6, `weight ${i} is ${p[i]}, not ${value}`)
    );
    assertEquals([...p.subarray(8, 10)], [0, 0]);
    assert([...p.subarray(10, 13)].every(Number.isNaN), "NaN among the keys that count is hidden");
    // The second example may see no key: zeros, and a gradient of zeros.
    assert(p.subarray(T * S).every((value) => value === 0));
    assert(gradient.subarray(T * S).every((value) => value === 0));
  } finally {
    session.destroy();
  }
});

Deno.test("attentionSoftmax() computes one gradient for scores and bias, and none that is not asked for", () => {
  const [x, bias] = [input("x", [2, 3, 4, 5], "f32"), input("bias", [3, 4, 5], "f32")];
  const y = attentionSoftmax(x, { bias, scale: 0.5 });
  const names = (wrt: (typeof x)[]) =>
    topological([...differentiate(y, input("g", y.shape, "f32"), wrt, add).values()].flat())
      .map(({ op }) => op.name)
      .filter((name) => !["input", "attention_softmax"].includes(name));
  assertEquals(names([x]), ["attention_softmax_grad"]);
  assertEquals(names([x, bias]), ["attention_softmax_grad", "sum", "reshape", "scale"]);
});

Deno.test("attentionSoftmax() refuses shapes that do not fit, and a scale of 0", () => {
  const x = input("x", [2, 3, 4, 5], "f32");
  assertThrows(
    () => attentionSoftmax(x, { mask: input("m", [2, 4], "f32") }),
    TypeError,
    "Cannot attend by scores [2, 3, 4, 5] with mask [2, 4]: they must be [B, H, T, S], [H, T, S] and [B, S]",
  );
  assertThrows(() => attentionSoftmax(x, { scale: 0 }), RangeError, "by 0");
});
