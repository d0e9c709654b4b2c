import { assert, assertEquals } from "@std/assert";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { type Node, operations, topological } from "../../lib/graph/node.ts";
import { operationsOf } from "../../lib/graph/operations.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { countParameters } from "../../lib/layers/scope.ts";
import { buildModel } from "../../lib/models/index.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { relu } from "../../lib/ops/activations.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { fill } from "../../lib/ops/fill.ts";
import { allCases } from "../op_cases.ts";

const [B, T] = [symbol("B"), symbol("T")];

Deno.test("a product takes 2·m·n·k·batch operations, and each of its gradients as many", () => {
  const x = input("x", [B, T, 5], "f32");
  const w = variable("w", [7, 5], "trainable");
  const y = einsum("btc,nc->btn", x, w);
  const sizes = { B: 3, T: 11 };
  const forward = 2 * 3 * 11 * 5 * 7;
  assertEquals(operationsOf(topological([y]), sizes), forward);
  const batched = einsum("bth,bsh->bts", y, y);
  assertEquals(operationsOf([batched], sizes), 2 * 3 * 11 * 11 * 7);
  const [gradient] = differentiate(y, fill([B, T, 7], 1), [w], add).get(w)!;
  assertEquals(operationsOf([gradient], sizes), forward);
});

Deno.test("elementwise operations count what their expressions write", () => {
  const x = input("x", [B, 4], "f32");
  assertEquals(operationsOf([x, add(x, x)], { B: 2 }), 8);
  assertEquals(operationsOf([relu(x)], { B: 2 }), 8);
});

Deno.test("T5-small's forward pass takes 2 operations for each parameter and token", () => {
  const model = buildModel(knownConfigs["t5-small"], { classes: 2, head: false });
  const logits = model.textToText!.logits({
    ids: input("ids", [B, T], "u32"),
    mask: input("mask", [B, T], "f32"),
    decoderIds: input("decoder_ids", [B, T], "u32"),
  }, {});
  const sizes = { B: 4, T: 64 };
  const tokens = sizes.B * sizes.T;
  // Every matrix is used once by each token of one of the two sequences, the tied one as output.
  const parameters = 2 * countParameters(model.scope.select()) * tokens;
  // Scores and mixtures of 6 encoder, 6 decoder and 6 cross-attentions of inner width 512.
  const attention = 18 * 2 * (2 * tokens * sizes.T * 512);
  const counted = operationsOf(topological([logits]), sizes);
  const ratio = counted / (parameters + attention);
  assert(ratio > 1 && ratio < 1.01, `${counted} is ${ratio} of ${parameters} + ${attention}`);
});

/** Operations that only move or set values, or count one whole number. */
const MOVES = new Set([
  ...["input", "variable", "constant", "reshape", "fill", "broadcast"],
  ...["concat", "slice", "pad", "embedding", "relative_bias", "select_token", "select_token_grad"],
  ...["advance", "detach", "record", "rows", "join_rows", "attention"],
]);

Deno.test("every operation that computes says how many operations it takes", async () => {
  await allCases(); // Loads every operation.
  const silent = operations().filter(({ flops, name }) => {
    if (MOVES.has(name)) return false;
    try {
      return flops({ inputs: [] } as unknown as Node, () => [1]) === 0;
    } catch {
      return false; // It asks for its inputs.
    }
  });
  assertEquals(silent.map(({ name }) => name), []);
});
