import { assertEquals, assertThrows } from "@std/assert";
import { checkOp, gpuTest, randomNormal } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases, crossEntropyReference } from "./cases/cross_entropy.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { crossEntropy } from "../../lib/ops/cross_entropy.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { sum } from "../../lib/ops/sum.ts";

testCases("crossEntropy()", cases);

gpuTest("crossEntropy() matches its f64 reference over T5's vocabulary", async (gpu) => {
  await checkOp(gpu, "cross-entropy [3,32128]", {
    inputs: [{ shape: [3, 32128] }, { shape: [3], dtype: "i32", values: [32127, -100, 1465] }],
    build: ([x, labels]) => crossEntropy(x, labels),
    reference: ([x, labels]) => crossEntropyReference(x, labels),
  });
});

Deno.test("crossEntropy() refuses labels that do not fit the logits", () => {
  const logits = input("logits", [4, 3], "f32");
  assertThrows(() => crossEntropy(logits, input("labels", [3], "i32")), TypeError, "i32 [3]");
  assertThrows(() => crossEntropy(logits, input("labels", [4], "u32")), TypeError, "u32 [4]");
});

gpuTest(
  "the gradient of crossEntropy() is written over the logits where nothing else reads them",
  async (gpu) => {
    for (const classes of [7, 300, 1028]) {
      const x = input("x", [5, 4], "f32");
      const w = input("w", [classes, 4], "f32");
      const labels = input("labels", [5], "i32");
      const g = input("g", [5], "f32");
      const logits = einsum("rc,vc->rv", x, w);
      const y = crossEntropy(logits, labels);
      const [dx] = differentiate(y, g, [logits], add).get(logits)!;
      const session = new Session(gpu);
      try {
        const over = session.program([y, dx], {}, [y, dx]);
        const apart = session.program([y, dx, logits], {}, [y, dx, logits]);
        await session.build();
        session.poison();
        const values = {
          x: Float32Array.from(randomNormal(5 * 4)),
          w: Float32Array.from(randomNormal(classes * 4)),
          labels: Int32Array.from([0, -100, classes - 1, 3, 5]),
          g: Float32Array.from([1, 2, 3, -1, 0.5]),
        };
        const results: Float32Array[][] = [];
        for (const program of [over, apart]) {
          session.write(program, values);
          session.run([program]);
          results.push(await session.read(program, [y, dx]));
        }
        assertEquals(results[0], results[1]);
        assertEquals(
          over.plan.slotBytes.length,
          apart.plan.slotBytes.length - 1,
          "the logits and their gradient share no memory",
        );
      } finally {
        session.destroy();
      }
    }
  },
);

gpuTest("the gradient of a sum of crossEntropy() reads one number for all rows", async (gpu) => {
  const [rows, classes] = [70, 5];
  const logits = input("x", [rows, classes], "f32");
  const y = crossEntropy(logits, input("labels", [rows], "i32"));
  const [one, each] = [input("one", [1], "f32"), input("each", [rows], "f32")];
  const [dx] = differentiate(sum(y, 0, 1), one, [logits], add).get(logits)!;
  const [expected] = differentiate(y, each, [logits], add).get(logits)!;
  const session = new Session(gpu);
  try {
    const programs = [dx, expected].map((node) => session.program([node], {}, [node]));
    assertEquals(programs[0].kernels, ["cross_entropy_grad"]);
    await session.build();
    const values = {
      x: Float32Array.from(randomNormal(rows * classes)),
      labels: Int32Array.from({ length: rows }, (_, r) => r % 7 === 6 ? -100 : r % classes),
      one: Float32Array.of(0.37),
      each: new Float32Array(rows).fill(0.37),
    };
    const found: Float32Array[] = [];
    for (const [i, node] of [dx, expected].entries()) {
      session.write(programs[i], values);
      session.poison();
      session.run([programs[i]]);
      found.push(...await session.read(programs[i], [node]));
    }
    assertEquals(found[0], found[1]);
  } finally {
    session.destroy();
  }
});
