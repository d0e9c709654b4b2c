import { assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { adamw } from "../../lib/ops/adamw.ts";
import { operations } from "../../lib/graph/node.ts";

const [ROWS, WIDTH] = [70, 65];
const FACTORS = { beta1: 0.9, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1, rate: 3 };
const SCHEDULE = [0.5, 1, 1, 0, 0.02, 1 / (1 - 0.9 ** 2), 1 / (1 - 0.99 ** 2), 0];
const NAMES = ["w", "g", "m", "v"];

function nodes() {
  const shape = [ROWS, WIDTH];
  return {
    parameter: variable("w", shape, "trainable"),
    gradient: variable("g", shape, "gradient"),
    first: variable("m", shape, "optimizer"),
    second: variable("v", shape, "optimizer"),
    schedule: variable("schedule", [2, 4], "control"),
    step: variable("step", [1], "control", "u32"),
    clip: variable("clip", [4], "control"),
  };
}

for (const maxBinding of [undefined, 4096]) {
  const parts = maxBinding === undefined ? "at once" : "in row shards";
  gpuTest(`adamw() updates ${parts} as its f64 reference, and clears the gradient`, async (gpu) => {
    // Rows of 65 elements meet a buffer's alignment every 64 rows only: use 64 where sharded.
    const width = maxBinding === undefined ? WIDTH : 64;
    const tensors = nodes();
    const shape = [ROWS, width];
    const cut = maxBinding === undefined ? tensors : {
      ...tensors,
      parameter: variable("w", shape, "trainable"),
      gradient: variable("g", shape, "gradient"),
      first: variable("m", shape, "optimizer"),
      second: variable("v", shape, "optimizer"),
    };
    const [w, g, m, v] = NAMES.map(() => randomNormal(ROWS * width));
    const second = v.map((x) => Math.fround(x * x));
    const session = new Session(gpu);
    try {
      const program = session.program([adamw({ ...cut, ...FACTORS })], {});
      await session.build();
      const load = (coefficient: number, finite: number, step: number) => {
        [w, g, m, second].forEach((x, i) => session.upload(NAMES[i], Float32Array.from(x)));
        session.upload("schedule", Float32Array.from(SCHEDULE));
        session.upload("step", Uint32Array.of(step));
        session.upload("clip", Float32Array.of(coefficient, 7, finite, 0));
      };
      // Step 1 has the second row; step 9 is past the end and takes the last, the same.
      for (const step of [1, 9]) {
        load(0.25, 1, step);
        session.run([program]);
        const found = await session.readVariables(NAMES);
        const [lr, c1, c2] = [0.02 * FACTORS.rate, SCHEDULE[5], SCHEDULE[6]];
        const mean = m.map((x, i) => 0.9 * x + 0.1 * 0.25 * g[i]);
        const square = second.map((x, i) => 0.99 * x + 0.01 * (0.25 * g[i]) ** 2);
        expectClose("m", found.get("m")!, mean, 1e-6, 1e-6);
        expectClose("v", found.get("v")!, square, 1e-6, 1e-6);
        expectClose(
          "w",
          found.get("w")!,
          w.map((x, i) =>
            x * (1 - lr * FACTORS.weightDecay) -
            lr * (mean[i] * c1) / (Math.sqrt(square[i] * c2) + FACTORS.epsilon)
          ),
          1e-5,
          1e-5,
        );
        assertEquals(found.get("g")!.every((x) => x === 0), true);
      }
      load(0, 0, 1);
      session.upload("g", new Float32Array(ROWS * width).fill(NaN));
      session.run([program]);
      const skipped = await session.readVariables(NAMES);
      [w, null, m, second].forEach((x, i) => {
        if (x !== null) assertEquals(skipped.get(NAMES[i]), Float32Array.from(x));
      });
      assertEquals(skipped.get("g")!.every((x) => x === 0), true);
    } finally {
      session.destroy();
    }
  }, maxBinding);
}

Deno.test("adamw() refuses moments of another shape, and has no gradient", () => {
  const tensors = { ...nodes(), first: variable("m", [WIDTH, ROWS], "optimizer") };
  assertThrows(
    () => adamw({ ...tensors, ...FACTORS }),
    TypeError,
    "Cannot update [70, 65] by [65, 70]",
  );
  assertEquals(operations().find(({ name }) => name === "adamw")!.differentiable, false);
});
