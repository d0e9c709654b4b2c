import { assertEquals } from "@std/assert";
import { compareAll } from "../../lib/parity/compare.ts";
import type { Measured } from "../../lib/parity/measure.ts";

const tensor = (...values: number[]): Measured => ({
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Names that are out of tolerance, of expected tensors and what was found instead. */
const off = (expected: Record<string, Measured>, actual: Record<string, Measured>) =>
  compareAll(new Map(Object.entries(expected)), new Map(Object.entries(actual)))
    .filter(({ ok }) => !ok).map(({ name }) => name);

Deno.test("the key bias alone is left out of the final weights, and said to be", () => {
  const bert = "final.bert.encoder.layer.0.attention.self.key.bias";
  const gpt2 = "final.transformer.h.0.attn.c_attn.bias";
  const expected = { [bert]: tensor(1, 2), [gpt2]: tensor(1, 2, 3) };
  // Noise of any size in what has no gradient; the rest is compared.
  assertEquals(off(expected, { [bert]: tensor(8, 9), [gpt2]: tensor(1, 9, 3) }), []);
  const rows = compareAll(
    new Map(Object.entries(expected)),
    new Map(Object.entries({ [bert]: tensor(8, 9), [gpt2]: tensor(1, 9, 3) })),
  );
  assertEquals(rows.map(({ name, absolute, leftOut }) => [name, absolute, leftOut]), [
    [bert, null, "the key bias, as its true gradient is 0"],
    [gpt2, 0, "the middle third, the key bias, as its true gradient is 0"],
    ["all final.*: 100 % within 2.0e-5", null, undefined],
  ]);
  for (const values of [[1.5, 2, 3], [1, 2, 3.5]]) {
    const names = off(expected, { [bert]: tensor(1, 2), [gpt2]: tensor(...values) });
    assertEquals(names, [gpt2, "all final.*: 50 % within 2.0e-5"]);
  }
});

Deno.test("the gradient of a key bias, and other biases, are compared in full", () => {
  for (
    const name of [
      "grad.bert.encoder.layer.0.attention.self.key.bias",
      "grad.transformer.h.0.attn.c_attn.bias",
      "final.bert.encoder.layer.0.attention.self.query.bias",
      "final.transformer.h.0.attn.c_proj.bias",
    ]
  ) {
    const names = off({ [name]: tensor(0, 0, 0) }, { [name]: tensor(0, 1, 0) });
    assertEquals(names[0], name);
  }
});

Deno.test("a key bias that is missing or misshapen is still a fault", () => {
  const name = "final.bert.encoder.layer.0.attention.self.key.bias";
  assertEquals(off({ [name]: tensor(1, 2) }, {}).includes(name), true);
  assertEquals(off({ [name]: tensor(1, 2) }, { [name]: tensor(1, 2, 3) }).includes(name), true);
});
