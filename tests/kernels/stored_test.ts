import { assert, assertEquals, assertThrows } from "@std/assert";
import { kernel } from "../../kernels/kernel.ts";
import { layerNormKernel } from "../../kernels/layer_norm.ts";
import { matmulDirect } from "../../kernels/matmul_direct.ts";
import { convertAccess, stored } from "../../kernels/stored.ts";

Deno.test("convertAccess() widens what is read and rounds what is written", () => {
  const cases: Record<string, string> = {
    "let a = x[i];": "let a = f32(x[i]);",
    "x[i] = 1.0;": "x[i] = f16(1.0);",
    "x[i] = x[j] + y[i];\nx[k] = x[k];": "x[i] = f16(f32(x[j]) + y[i]);\nx[k] = f16(f32(x[k]));",
    "if (x[i] == 0.0 && x[x_0[j]] >= z[i]) {": "if (f32(x[i]) == 0.0 && f32(x[x_0[j]]) >= z[i]) {",
    "y[u32(x[(a[0] + b) * 2u])] = x[i][c % 4u].x;":
      "y[u32(f32(x[(a[0] + b) * 2u]))] = f32(x[i])[c % 4u].x;",
    "x[u32(x[0])] = select(0.0, x[i], inside);":
      "x[u32(f32(x[0]))] = f16(select(0.0, f32(x[i]), inside));",
    "max_x[0] + p.x[1] + xx[2] + x0[3]": "max_x[0] + p.x[1] + xx[2] + x0[3]",
    "x[a] = f(\n  b,\n  c);": "x[a] = f16(f(\n  b,\n  c));",
  };
  for (const [given, expected] of Object.entries(cases)) {
    assertEquals(convertAccess(given, "x", "f32", "f16"), expected);
  }
});

Deno.test("convertAccess() refuses updates by an operator", () => {
  for (const operator of ["+=", "-=", "*=", "/=", "<<=", "|="]) {
    assertThrows(
      () => convertAccess(`x[i] ${operator} 1.0;`, "x", "f32", "f16"),
      TypeError,
      `"x[…] ${operator} …" must be written as`,
    );
  }
});

const halve = kernel({
  name: "halve",
  reads: { x: "vec4<f32>", n: "u32" },
  writes: { y: "f32" },
  params: {},
  tune: { wg: 8 },
  workgroups: () => 1,
  globals: () => "fn first(i: u32) -> f32 { return x[i].x; }",
  body: () => "y[lane] = first(n[0]) + x[lane].y;",
});

Deno.test("stored() declares the bindings named, and leaves the others", () => {
  const { name, reads, writes, source, tune } = stored(halve, ["x", "y"]);
  assertEquals([name, reads, writes], [
    "halve_f16",
    { x: "vec4<f16>", n: "u32" },
    { y: "f16" },
  ]);
  const code = source(tune);
  assert(code.startsWith("enable f16;\n"), code);
  assert(code.includes("return vec4<f32>(x[i]).x;"), code);
  assert(code.includes("y[lane] = f16(first(n[0]) + vec4<f32>(x[lane]).y);"), code);
  const reading = stored(halve, ["x"]);
  assert(reading.source(tune).includes("y[lane] = first"), reading.source(tune));
  assert(!halve.source(tune).includes("f16"));
});

Deno.test("stored() refuses what is no f32 binding", () => {
  assertThrows(() => stored(halve, ["n"]), TypeError, "must be a binding of f32, found u32");
  assertThrows(() => stored(halve, ["z"]), TypeError, "must be a binding of f32, found none");
});

Deno.test("stored() gives one kernel for the same bindings", () => {
  const [one, other] = [stored(layerNormKernel, ["x", "y"]), stored(layerNormKernel, ["x"])];
  assert(stored(layerNormKernel, ["x", "y"]) === one && one !== other);
});

Deno.test("stored() keeps a product's loads of four", () => {
  const product = matmulDirect({
    aUnit: "k",
    bUnit: "k",
    aligned: true,
    accumulate: false,
    bias: false,
    addend: false,
  }, { axis: "n", rows: 16, cols: 4, lanes: 8, steps: 2, subgroup: true });
  const half = stored(product, ["a", "b"]);
  assertEquals(half.reads, { a: "vec4<f16>", b: "vec4<f16>" });
  const loads = (code: string) => code.match(/\b[ab]\[at_/g)!.length;
  assertEquals(loads(half.source(half.tune)), loads(product.source(product.tune)));
});
