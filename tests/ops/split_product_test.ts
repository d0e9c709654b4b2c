import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import type { Node } from "../../lib/graph/node.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { plan } from "../../lib/graph/plan.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { relu } from "../../lib/ops/activations.ts";
import { einsum, einsumInto } from "../../lib/ops/einsum.ts";
import { sliceCount } from "../../lib/ops/split_product.ts";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import { einsumReference } from "./cases/einsum.ts";

type Values = Float32Array<ArrayBuffer>;

/** What a node holds after a run, and the launches that it took. */
async function run(
  gpu: Gpu,
  node: Node,
  inputs: Readonly<Record<string, Values>>,
  variables: Readonly<Record<string, Values>> = {},
) {
  const session = new Session(gpu);
  try {
    const program = session.program([node], {}, [node]);
    await session.build();
    session.poison();
    for (const [name, values] of Object.entries(variables)) session.upload(name, values);
    session.write(program, inputs);
    session.run([program]);
    const [values] = await session.read(program, [node]);
    return { values, launches: program.describe() };
  } finally {
    session.destroy();
  }
}

const random = (count: number) => Float32Array.from(randomNormal(count));

Deno.test("sliceCount() cuts sums of vocabularies, equally, and no hidden size", () => {
  for (const length of [1, 768, 8192, 16383]) assertEquals(sliceCount(length), 1);
  assertEquals(sliceCount(16384), 8);
  assertEquals([32128, 32100, 128256, 50257].map(sliceCount), [16, 25, 64, 29]);
  // No equal slices of a fitting size: a prime, and BERT's vocabulary.
  assertEquals([16411, 30522].map(sliceCount), [1, 1]);
  for (let length = 16384; length < 17000; length++) {
    const slice = length / sliceCount(length);
    assert(slice === length || Number.isInteger(slice) && slice >= 1024 && slice <= 2048);
    assert(length % 4 !== 0 || slice % 4 === 0);
  }
  for (const config of Object.values(knownConfigs)) {
    const { d_model, d_ff, hidden_size, intermediate_size, n_embd } = config as Record<
      string,
      number | undefined
    >;
    for (const size of [d_model, d_ff, hidden_size, intermediate_size, n_embd]) {
      assertEquals(sliceCount(size ?? 1), 1);
    }
  }
});

gpuTest("long products match f64 at sizes around the bound, in slices from it on", async (gpu) => {
  for (const k of [16380, 16383, 16384, 16385, 16400, 32128]) {
    for (
      const [subscripts, sizes] of [
        ["mk,kn->mn", { m: 5, n: 3, k }],
        ["km,nk->nm", { m: 4, n: 9, k }],
        ["btk,kn->btn", { b: 2, t: 3, n: 4, k }],
        ["pmk,pkn->pmn", { p: 2, m: 3, n: 2, k }],
      ] as [string, Record<string, number>][]
    ) {
      const [, la, lb] = /^(\w+),(\w+)->/.exec(subscripts)!;
      const leaf = (name: string, letters: string) =>
        input(name, [...letters].map((letter) => sizes[letter]), "f32");
      const [a, b] = [leaf("a", la), leaf("b", lb)];
      const size = ({ shape }: Node) => (shape as number[]).reduce((x, y) => x * y, 1);
      const inputs = { a: random(size(a)), b: random(size(b)) };
      const { values, launches } = await run(gpu, einsum(subscripts, a, b, { alpha: -2 }), inputs);
      const expected = einsumReference(subscripts, sizes, inputs.a, inputs.b).map((x) => -2 * x);
      // Rounding of a chain of k sums of variance k.
      expectClose(`${subscripts} ${k}`, values, expected, 2e-2, 1e-5);
      const cut = sliceCount(k) > 1;
      assertEquals(launches.some(({ kernel }) => kernel === "sum_slices"), cut);
      assertEquals(launches.length, cut ? 2 : 1);
    }
  }
});

gpuTest("a long product's bits do not depend on rows, columns or what joins it", async (gpu) => {
  const [m, n, k] = [37, 41, 16384];
  const [a, b] = [random(m * k), random(n * k)];
  const product = (rows: number, columns: number) =>
    einsum("mk,nk->mn", input("a", [rows, k], "f32"), input("b", [columns, k], "f32"));
  const whole = (await run(gpu, product(m, n), { a, b })).values;
  for (const [row, rows, column, columns] of [[0, 1, 0, 1], [3, 8, 5, 2], [36, 1, 0, 41]]) {
    const { values } = await run(gpu, product(rows, columns), {
      a: a.slice(row * k, (row + rows) * k),
      b: b.slice(column * k, (column + columns) * k),
    });
    const expected = values.map((_, i) =>
      whole[(row + Math.floor(i / columns)) * n + column + i % columns]
    );
    assertEquals(values, expected);
  }
  const fused = await run(gpu, relu(product(m, n)), { a, b });
  assertEquals(fused.launches.map(({ kernel }) => kernel).slice(1), ["sum_slices+relu"]);
  assertEquals(fused.values, whole.map((value) => Math.max(value, 0)));
});

gpuTest("einsumInto() adds a long product to what is there", async (gpu) => {
  const [m, n, k] = [6, 7, 20480];
  const [a, b, start] = [random(m * k), random(k * n), random(m * n)];
  const product = einsum("mk,kn->mn", input("a", [m, k], "f32"), input("b", [k, n], "f32"), {
    alpha: 3,
  });
  const alone = await run(gpu, product, { a, b });
  const { values, launches } = await run(
    gpu,
    einsumInto(variable("total", [m, n], "gradient"), product),
    { a, b },
    { total: start },
  );
  assertEquals(launches.map(({ kernel }) => kernel).slice(1), ["sum_slices"]);
  const expected = Float64Array.from(alone.values, (value, i) => value + start[i]);
  expectClose("total", values, expected, 1e-4, 1e-6);
});

Deno.test("products over dimensions that batches bind stay whole", () => {
  const [a, b] = ["a", "b"].map((name) => input(name, [symbol("B"), 4], "f32"));
  const { order } = plan([einsum("km,kn->mn", a, b)], { B: 32768 });
  assertEquals(order.map(({ op }) => op.name), ["input", "input", "einsum"]);
});
