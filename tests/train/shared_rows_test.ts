import { assert, assertEquals } from "@std/assert";
import { bertConfig } from "../small_models.ts";
import { bindShape } from "../../lib/graph/shape.ts";
import { type Node, topological } from "../../lib/graph/node.ts";
import { buildModel } from "../../lib/models/index.ts";
import { lora } from "../../lib/peft/lora.ts";
import { attachPack } from "../../lib/peft/pack.ts";
import { packGraphs, SHARE } from "../../lib/train/graphs.ts";
import { EXAMPLE_INPUTS } from "../../lib/train/kept_features.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { shareRows } from "../../lib/train/shared_rows.ts";
import { makeTask } from "../../lib/train/task.ts";

/** Rows of every node of an operation, in order. */
function rowsOf(nodes: readonly Node[], name: string): number[] {
  const sizes = { B: 12, R: 4, T: 8 };
  return nodes.filter(({ op }) => op.name === name).map(({ shape }) => bindShape(shape, sizes)[0]);
}

Deno.test("what all cells have in common is computed for one share of the rows", () => {
  const model = buildModel(bertConfig, { classes: 3, head: true });
  const options = lora.parse({ targets: "value", rank: 2 });
  const attached = attachPack(model, [1, 2, 3].map(() => ({ method: lora, options })), SHARE);
  const { backward } = packGraphs(
    {
      cells: attached.map((one) => (
        { attached: one, settings: trainSettings({ learningRate: 1 }) }
      )),
      task: makeTask(model, 0, null),
    },
    10,
    false,
  );
  const trained = new Set(attached.flatMap(({ trainable }) => trainable.map(({ name }) => name)));
  const { roots } = shareRows({ roots: backward!, keep: [] }, {
    ...{ inputs: EXAMPLE_INPUTS, trained },
    shares: { of: 3, count: SHARE },
  });
  const [before, after] = [topological(backward!), topological(roots)];
  assertEquals(rowsOf(before, "embedding"), [12]);
  assertEquals(rowsOf(after, "embedding"), [4]);
  // Behind the first values, cells differ: the norm before them is common, those behind are not.
  assertEquals(rowsOf(before, "layer_norm"), [12, 12, 12, 12, 12]);
  assertEquals(rowsOf(after, "layer_norm"), [4, 12, 12, 12, 12]);
  // Query, key, value and scores of the first layer, and its attention's weights.
  assertEquals(rowsOf(after, "attention_softmax"), [4, 12]);
  // Nothing is executed before what it rests on, and no two nodes at once.
  assert(after.every((node) => node.inputs.every((input) => input.id < node.id)));
  assertEquals(new Set(after.map(({ id }) => id)).size, after.length);
});
