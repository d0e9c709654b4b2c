import { assert, assertEquals, assertThrows } from "@std/assert";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { topological } from "../../lib/graph/node.ts";
import { add, multiply } from "../../lib/ops/elementwise.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { record } from "../../lib/ops/record.ts";
import { sum } from "../../lib/ops/sum.ts";

const seed = input("seed", [1, 1], "f32");

Deno.test("differentiate() adds no node for what is frozen", () => {
  const x = input("x", [4, 8], "f32");
  const [frozen, trained] = ["frozen", "trained"].map((name) => variable(name, [8, 8], "weight"));
  const hidden = einsum("rc,nc->rn", x, frozen);
  const loss = sum(einsum("rc,nc->rn", hidden, trained), 0, 2);
  const gradients = differentiate(loss, seed, [trained], add);
  const [gradient, ...others] = gradients.get(trained)!;
  assertEquals(others, []);
  const forward = new Set(topological([loss]));
  const added = topological([gradient]).filter((node) => !forward.has(node) && node !== seed);
  // The loss's gradient is repeated, then contracted with the hidden states; nothing before those.
  assertEquals(added.map(({ op }) => op.name), ["broadcast", "einsum"]);
});

Deno.test("differentiate() returns one contribution for each use of a tied parameter", () => {
  const tied = variable("tied", [8, 8], "weight");
  const x = input("x", [4, 8], "f32");
  const loss = sum(einsum("rc,nc->rn", einsum("rc,nc->rn", x, tied), tied), 0, 2);
  assertEquals(differentiate(loss, seed, [tied], add).get(tied)!.length, 2);
});

Deno.test("differentiate() gives nothing where the loss does not depend on a parameter", () => {
  const [used, unused] = ["used", "unused"].map((name) => variable(name, [4, 4], "weight"));
  const loss = sum(multiply(used, used), 0, 2);
  const gradients = differentiate(loss, seed, [used, unused], add);
  assertEquals(gradients.get(unused), []);
  assert(gradients.get(used)!.length > 0);
});

Deno.test("differentiate() refuses an operation without a backward rule", () => {
  const weight = variable("weight", [1], "weight");
  const step = variable("step", [1], "control", "u32");
  const recorded = record(variable("losses", [4], "control"), step, weight);
  const loss = sum(recorded, 0, 1);
  assertThrows(
    () => differentiate(loss, input("g", [1], "f32"), [weight], add),
    TypeError,
    "Cannot differentiate record",
  );
});
