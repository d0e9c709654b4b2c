import { assert, assertEquals } from "@std/assert";
import { input, variable } from "../../../lib/graph/leaves.ts";
import { type Node, topological } from "../../../lib/graph/node.ts";
import { fuse } from "../../../lib/graph/passes/fuse.ts";
import { held } from "../../../lib/graph/passes/rewrite.ts";
import { accumulate } from "../../../lib/ops/accumulate.ts";
import { gelu, geluTanh, relu, silu, tanh } from "../../../lib/ops/activations.ts";
import { slice } from "../../../lib/ops/concat.ts";
import { dropout } from "../../../lib/ops/dropout.ts";
import { einsum } from "../../../lib/ops/einsum.ts";
import { add, divide, multiply, scale, subtract } from "../../../lib/ops/elementwise.ts";
import { gpuTest } from "../../check_op.ts";
import { program, results } from "./pass_results.ts";

const [B, C] = [6, 20];
const tensor = (name: string, shape = [B, C]) => input(name, shape, "f32");
const product = (name: string) =>
  einsum("bk,kn->bn", tensor(`${name}.a`, [B, 8]), tensor(`${name}.b`, [8, C]));

/** Names of the operations behind the inputs of a program after the pass. */
function names(roots: readonly Node[], keep: readonly Node[] = []): string[] {
  return topological(fuse(program(roots), keep).roots).filter(({ op }) => op.leaf === undefined)
    .map(({ op }) => op.name);
}

Deno.test("fuse() takes chains in as far as they are read once and have one shape", () => {
  const [a, b] = [tensor("a"), tensor("b")];
  assertEquals(names([relu(add(scale(a, 2), b))]), ["scale+add+relu"]);
  const twice = scale(a, 2);
  assertEquals(names([multiply(twice, relu(twice))]), ["scale", "relu+multiply"]);
  const kept = scale(a, 2);
  assertEquals(names([relu(kept)], [kept]), ["scale", "relu"]);
  // A vector of its own is computed once, not for each row.
  assertEquals(names([add(a, scale(tensor("v", [C]), 2))]), ["scale", "add"]);
});

Deno.test("fuse() gives each sum of products to the product that comes last", () => {
  const [p, q, r] = ["p", "q", "r"].map(product);
  const sum = add(add(p, q), r);
  const fused = fuse(program([relu(sum)]), []);
  const order = topological(fused.roots).filter(({ op }) => op.leaf === undefined);
  assertEquals(order.map(({ op }) => op.name), ["einsum", "einsum+add", "einsum+add+relu"]);
  assertEquals(order.map(({ id }) => id), [p.id, q.id, r.id]);
  // What comes after the product cannot be read in its launch.
  const early = product("early");
  const late = einsum("bn,bn->bn", tensor("u"), tensor("v"));
  assertEquals(names([add(early, late)]), ["einsum", "einsum+add"]);
  const cut = (name: string) => slice(tensor(name, [B + 2, C]), 0, 1, B);
  assertEquals(names([add(product("p"), cut("x"))]), ["einsum", "slice", "add"]);
  // A product that something else reads is stored as it is.
  const read = product("read");
  assertEquals(names([relu(read), scale(read, 2)]), ["einsum", "relu", "scale"]);
});

Deno.test("fuse() leaves what reads a variable that the program changes where it is", () => {
  const total = variable("total", [B, C], "gradient");
  const before = scale(total, 2);
  const update = accumulate(total, tensor("a"));
  assertEquals(names([update, relu(before)]), ["scale", "accumulate", "relu"]);
});

Deno.test("fuse() says what has become of nodes that are asked for", () => {
  const y = relu(product("p"));
  const fused = fuse(program([scale(y, 2)]), [y]);
  assertEquals(held(fused, y).op.name, "einsum+relu");
  assertEquals(held(fused, y).shape, y.shape);
});

Deno.test("fuse() binds no more than every adapter grants", () => {
  const many = Array.from({ length: 12 }, (_, i) => tensor(`x${i}`));
  const roots = fuse(program([many.reduce(add)]), []).roots;
  for (const node of topological(roots)) assert(node.inputs.length <= 7, `${node.inputs.length}`);
});

gpuTest("fused launches hold the same bits", async (gpu) => {
  const [a, b, v] = [tensor("a"), tensor("b"), tensor("v", [C])];
  const column = tensor("column", [B, 1]);
  const keys = [
    input("examples", [B], "u32"),
    input("step", [1], "u32"),
    input("seed", [1], "u32"),
  ];
  const dropped = dropout(product("d"), {
    ...{ probability: 0.3, site: "here", examples: keys[0], step: keys[1], seed: keys[2] },
  });
  const odd = (name: string) => tensor(name, [3, 7]);
  const nodes = [
    gelu(scale(multiply(geluTanh(add(a, v)), tanh(b)), 0.3)),
    divide(silu(add(a, column)), add(multiply(b, b), v)),
    relu(add(product("p"), a)),
    multiply(multiply(subtract(a, product("q")), column), v),
    add(dropped, scale(b, -0.7)),
    scale(scale(scale(einsum("bn,bn->bn", a, b), 0.1), 0.3), 3),
    add(scale(odd("odd"), 0.9), tensor("w", [7])),
  ];
  const [plain, fused] = [await results(gpu, nodes, []), await results(gpu, nodes, [fuse])];
  assertEquals(fused.values, plain.values);
  assertEquals(plain.kernels.length, 28);
  assertEquals(fused.kernels.length, 8);
  const epilogues = fused.kernels.filter((name) => name.startsWith("matmul") && name.includes("+"));
  assertEquals(epilogues.length, 3);
  for (const { length } of fused.values) assert(length > 0);
});

gpuTest("a product in several launches gets its epilogue after the last", async (gpu) => {
  const x = tensor("x", [2, 96]);
  const w = tensor("w", [96, 8]);
  const nodes = [relu(add(einsum("bk,kn->bn", x, w), tensor("y", [2, 8])))];
  const [plain, fused] = [await results(gpu, nodes, []), await results(gpu, nodes)];
  assertEquals(fused.values, plain.values);
  const launches = plain.kernels.filter((name) => name.startsWith("matmul")).length;
  assert(launches > 1, `${launches}`);
  assertEquals(fused.kernels.length, launches + 1);
}, 1024);

gpuTest("what is not stored is rounded as if it were, in half precision", async (gpu) => {
  const nodes = [gelu(scale(product("p"), 1.7)), tanh(scale(tensor("a"), 3e-6))];
  const inner = new Set(nodes.flatMap((node) => [node.inputs[0], node.inputs[0].inputs[0]]));
  const policy = () => new Set([...inner].filter(({ op }) => op.leaf === undefined));
  const [plain, full, fused] = [
    await results(gpu, nodes, [], policy),
    await results(gpu, nodes, []),
    await results(gpu, nodes, [fuse], policy),
  ];
  assertEquals(fused.values, plain.values);
  assert(plain.values.some((values, n) => values.some((bits, i) => bits !== full.values[n][i])));
  assertEquals(fused.kernels.length, 2);
});
