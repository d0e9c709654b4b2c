import { assertEquals } from "@std/assert";
import { gpuTest, randomNormal } from "../check_op.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { crossEntropy } from "../../lib/ops/cross_entropy.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add, multiply } from "../../lib/ops/elementwise.ts";
import { record } from "../../lib/ops/record.ts";
import { recordWithGradient } from "../../lib/ops/recorded_cross_entropy.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sum } from "../../lib/ops/sum.ts";

const LAUNCHES = ["cross_entropy", "record", "cross_entropy_grad"];

/** A loss over some rows and classes, its record and the gradient of the logits, which x and w give. */
function graphs(rows: number, classes: number, scaled: boolean, weighted = false) {
  const [x, w] = [input("x", [rows, 4], "f32"), input("w", [classes, 4], "f32")];
  const logits = einsum("rc,vc->rv", x, w);
  const each = crossEntropy(logits, input("labels", [rows], "i32"));
  const terms = weighted ? multiply(each, input("weights", [rows], "f32")) : each;
  const total = reshape(sum(terms, 0, 1), [1]);
  const loss = scaled ? multiply(total, input("factor", [1], "f32")) : total;
  const step = variable("step", [1], "control", "u32");
  const recorded = record(variable("losses", [4], "control"), step, loss);
  const gradients = differentiate(loss, input("seed", [1], "f32"), [logits], add).get(logits)!;
  return { recorded, gradients };
}

gpuTest("recordWithGradient() does in one launch what three do, to the bit", async (gpu) => {
  const sizes = [[1, 1], [70, 2], [130, 2], [5, 3], [33, 8], [66, 12], [9, 17], [40, 28], [7, 31]];
  for (const [rows, classes] of sizes) {
    for (const scaled of [true, false]) {
      const { recorded, gradients: [dx] } = graphs(rows, classes, scaled);
      const [fused] = recordWithGradient([recorded], [dx]);
      const session = new Session(gpu);
      try {
        const programs = [
          { program: session.program([fused], {}, [fused]), kept: fused },
          { program: session.program([recorded, dx], {}, [dx]), kept: dx },
        ];
        const [one, three] = programs.map(({ program }) => program.kernels.slice(1));
        assertEquals(one.filter((name) => name !== "multiply"), ["recorded_cross_entropy"]);
        assertEquals(three.filter((name) => LAUNCHES.includes(name)), LAUNCHES);
        await session.build();
        const values = {
          x: Float32Array.from(randomNormal(rows * 4)),
          w: Float32Array.from(randomNormal(classes * 4), (value) => 2 * value),
          labels: Int32Array.from({ length: rows }, (_, r) => r % 5 === 3 ? -100 : r % classes),
          factor: Float32Array.of(1 / rows),
          seed: Float32Array.of(3),
        };
        session.upload("step", Uint32Array.of(5));
        const found: Float32Array[][] = [];
        for (const { program, kept } of programs) {
          session.upload("losses", Float32Array.of(1, 0.25, 3, 4));
          session.write(program, values);
          session.poison();
          session.run([program]);
          const losses = (await session.readVariables(["losses"])).get("losses")!;
          found.push([losses, ...await session.read(program, [kept])]);
        }
        assertEquals(found[0], found[1], `${rows} rows, ${classes} classes`);
        assertEquals([found[0][0][0], found[0][0][2], found[0][0][3]], [1, 0, 4]);
      } finally {
        session.destroy();
      }
    }
  }
});

Deno.test("recordWithGradient() leaves many classes and weighted losses as they were", () => {
  for (const [classes, weighted] of [[32, false], [2, true]] as const) {
    const { recorded, gradients } = graphs(4, classes, true, weighted);
    assertEquals(recordWithGradient([recorded], gradients), [recorded, ...gradients]);
  }
});
