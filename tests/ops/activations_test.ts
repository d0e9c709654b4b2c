import { assert, assertEquals, assertThrows } from "@std/assert";
import { expectClose, gpuTest } from "../check_op.ts";
import { fixtureTest } from "../fixtures.ts";
import { testCases } from "../op_cases.ts";
import { cases, erf, references } from "./cases/activations.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import { activation, gelu, relu, silu } from "../../lib/ops/activations.ts";
import { add } from "../../lib/ops/elementwise.ts";

testCases("every activation", cases);

/** Values and derivatives of an activation at some points. */
async function evaluate(gpu: Gpu, name: string, points: readonly number[]) {
  const x = input("x", [points.length], "f32");
  const one = input("one", x.shape, "f32");
  const y = activation(name)(x);
  const [slope] = differentiate(y, one, [x], add).get(x)!;
  const session = new Session(gpu);
  try {
    const program = session.program([y, slope], {}, [y, slope]);
    await session.build();
    session.write(program, {
      x: Float32Array.from(points),
      one: new Float32Array(points.length).fill(1),
    });
    session.run([program]);
    return await session.read(program, [y, slope]);
  } finally {
    session.destroy();
  }
}

Deno.test("the tests' own erf() agrees with tabulated values", () => {
  // Abramowitz and Stegun, table 7.1; erfc(3.5) from table 7.3.
  for (const [x, y] of [[0, 0], [0.5, 0.5204998778], [1, 0.8427007929], [2, 0.995322265]]) {
    assert(Math.abs(erf(x) - y) < 1e-10 && Math.abs(erf(-x) + y) < 1e-10, `erf(${x})`);
  }
  assert(Math.abs(1 - erf(3.5) - 7.43098e-7) < 1e-11);
  assert(Math.abs(erf(2.9999999) - erf(3.0000001)) < 1e-10);
});

gpuTest(
  "gelu()'s distribution function is good to 1.5e-7, so erf to 3e-7, everywhere",
  async (gpu) => {
    const points = Array.from({ length: 4001 }, (_, i) => Math.fround((i - 2000) / 250))
      .filter((x) => x !== 0);
    const [values] = await evaluate(gpu, "gelu", points);
    points.forEach((x, i) => {
      const [found, exact] = [values[i] / x, 0.5 + erf(x / Math.SQRT2) / 2];
      assert(Math.abs(found - exact) <= 1.5e-7, `Φ(${x}) is ${found}, not ${exact}`);
    });
  },
);

gpuTest("activations stay finite far out, and pass NaN on", async (gpu) => {
  const points = [-1e4, -100, -90, -30, 30, 90, 100, 1e4, NaN];
  const bounded = ["tanh", "sigmoid"];
  const leak = (name: string) => name === "leaky_relu" ? 0.01 : 0;
  for (const name of Object.keys(references)) {
    const [values, slopes] = await evaluate(gpu, name, points);
    const expected = points.map((x) =>
      bounded.includes(name) || !(x < 0) ? references[name](x) : leak(name) * x
    );
    assert(Number.isNaN(values[8]), `${name}(NaN) is ${values[8]}`);
    expectClose(`${name} far out`, values.subarray(0, 8), expected.slice(0, 8), 1e-10, 1e-6);
    const steep = points.map((x) => bounded.includes(name) ? 0 : x > 0 ? 1 : leak(name));
    expectClose(`slope of ${name}`, slopes.subarray(0, 8), steep.slice(0, 8), 1e-10, 1e-6);
  }
});

Deno.test("activation() knows Hugging Face's names, and lists them for others", () => {
  assertEquals(activation("relu"), relu);
  assertEquals(activation("gelu"), gelu);
  assertEquals(activation("gelu_new"), activation("gelu_pytorch_tanh"));
  assertEquals(activation("swish"), silu);
  assertThrows(
    () => activation("mish"),
    RangeError,
    'Cannot find activation "mish"; use one of relu, gelu, gelu_new, gelu_pytorch_tanh, silu, swish, tanh, leaky_relu, leakyrelu, sigmoid',
  );
});

fixtureTest("activations match PyTorch's", async (folder) => {
  const table = JSON.parse(Deno.readTextFileSync(`${folder}/golden/tables/activations.json`));
  const gpu = await openGpu();
  try {
    const names = Object.keys(table).filter((name) => name in references);
    assertEquals(names.length, 5);
    for (const name of names) {
      const [values] = await evaluate(gpu, name, table.x);
      // PyTorch's own f32 error is about 4e-7 here.
      expectClose(name, values, table[name], 1e-6, 1e-6);
    }
  } finally {
    gpu.destroy();
  }
});
