/** GPT-2's real embedding, 50,257 × 768, which is larger than some adapters' largest binding. */

import { assert, assertEquals } from "@std/assert";
import { buildModel } from "../../lib/models/index.ts";
import { knownConfigs } from "../../lib/models/known_configs.ts";
import { rowShards } from "../../lib/ops/row_shards.ts";
import { measure, type Measures } from "../../lib/parity/measure.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { gpuTest } from "../check_op.ts";

const ROWS = 50257;
const WIDTH = 768;
const TABLE = "transformer.wte.weight";
/** WebGPU's default limit, 128 MiB, and lavapipe's; the table has 154 MB. */
const MAX_BINDING = 2 ** 27;
const DECAY = 0.01;
const RATE = 1e-3;

/** Tokens of two examples, from both ends of the table and around what one binding holds. */
const ids = [[0, 50256, 43690, 17, 17, 43691], [50256, 43689, 3, 0, 0, 0]];
const lengths = [6, 3];

/** One layer of GPT-2 with some rows of its embedding, trained whole for a step. */
async function step(gpu: Gpu, table: Float32Array<ArrayBuffer>, rowOf: (id: number) => number) {
  const config = {
    ...knownConfigs.gpt2,
    n_layer: 1,
    n_positions: 8,
    vocab_size: table.length / WIDTH,
  };
  const model = buildModel(config, { classes: 2, head: false });
  const { full } = methods;
  const attached = attachMethod(model, full, full.parse({}));
  const rest = randomWeights(model.scope.select((name) => name !== TABLE), 5);
  return await measure({
    gpu,
    model,
    attached,
    values: new Map([...rest, [TABLE, table]]),
    batch: {
      sizes: { B: 2, T: 6 },
      values: {
        ids: Uint32Array.from(ids.flat(), rowOf),
        mask: Float32Array.from(
          { length: 12 },
          (_, i) => i % 6 < lengths[Math.floor(i / 6)] ? 1 : 0,
        ),
        last: Uint32Array.from(lengths, (length) => length - 1),
        labels: Int32Array.of(1, 0),
        inverse_count: Float32Array.of(1 / 2),
      },
    },
    steps: 1,
    weightDecay: DECAY,
    learningRate: RATE,
    wanted: [TABLE, "transformer.h.0.attn.c_attn.weight"],
  });
}

const row = (values: Float32Array, i: number) => values.subarray(i * WIDTH, (i + 1) * WIDTH);

gpuTest("GPT-2's whole vocabulary trains in row shards as its used rows do alone", async (gpu) => {
  const table = new Float32Array(ROWS * WIDTH);
  // Values of some hundredths that differ from row to row; cheaper than normal ones.
  for (let i = 0; i < table.length; i++) table[i] = (Math.imul(i, 0x9e3779b1) >> 8) * 2 ** -28;
  const { maxStorageBufferBindingSize: limit } = gpu.device.limits;
  assert(rowShards([ROWS, WIDTH], limit).length > 1, `${limit} bytes hold the table`);

  const used = [...new Set(ids.flat())].sort((a, b) => a - b);
  const few = new Float32Array(used.length * WIDTH);
  used.forEach((id, i) => few.set(row(table, id), i * WIDTH));
  const alone: Measures = await step(gpu, few, (id) => used.indexOf(id));
  const whole: Measures = await step(gpu, table, (id) => id);

  assertEquals(whole.losses, alone.losses);
  assertEquals(whole.outputs.get("logits"), alone.outputs.get("logits"));
  assertEquals(whole.final.get("loss"), alone.final.get("loss"));
  assert(whole.final.get("loss")!.data[0] < whole.losses[0]);
  const other = "transformer.h.0.attn.c_attn.weight";
  assertEquals(whole.gradients.get(other), alone.gradients.get(other));

  const gradient = whole.gradients.get(TABLE)!.data;
  const after = whole.parameters.get(TABLE)!;
  const place = new Map(used.map((id, i) => [id, i]));
  let untouched = 0;
  for (let id = 0; id < ROWS; id++) {
    const i = place.get(id);
    if (i !== undefined) {
      const own = row(alone.gradients.get(TABLE)!.data, i);
      assert(own.some((value) => value !== 0), `row ${id}`);
      assertEquals(row(gradient, id), own, `gradient of row ${id}`);
      assertEquals(row(after, id), row(alone.parameters.get(TABLE)!, i), `row ${id}`);
      continue;
    }
    // A row that no token has: no gradient, and the decay alone.
    const [before, now] = [row(table, id), row(after, id)];
    let fits = row(gradient, id).every((value) => value === 0);
    for (let c = 0; c < WIDTH; c++) {
      const expected = before[c] * (1 - RATE * DECAY);
      fits &&= Math.abs(now[c] - expected) <= 2 ** -23 * Math.abs(expected);
    }
    assert(fits, `row ${id}`);
    untouched++;
  }
  assertEquals(untouched, ROWS - used.length);
}, MAX_BINDING);
