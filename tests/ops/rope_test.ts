import { assert, assertEquals, assertThrows } from "@std/assert";
import { expectClose } from "../check_op.ts";
import { fixtureTest } from "../fixtures.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/rope.ts";
import { input } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { rope, rotaryFrequencies } from "../../lib/ops/rope.ts";

testCases("rope()", cases);

Deno.test("rope() shares its tables among what rotates alike", () => {
  const frequencies = rotaryFrequencies({ headSize: 8, theta: 10000 });
  const x = (heads: number) => input("x", [2, symbol("T"), heads, 8], "f32");
  const [q, k, later] = [
    rope(x(4), frequencies),
    rope(x(2), frequencies),
    rope(x(2), frequencies, 3),
  ];
  assert(q.inputs[1] === k.inputs[1] && q.inputs[2] === k.inputs[2]);
  assert(later.inputs[1] !== k.inputs[1]);
});

Deno.test("rotaryFrequencies() leaves fast ones alone, divides slow ones, and blends between", () => {
  const scaling = {
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalLength: 64,
  };
  const plain = rotaryFrequencies({ headSize: 8, theta: 10000 });
  expectClose("plain", plain, [1, 0.1, 0.01, 0.001], 0, 1e-12);
  const scaled = rotaryFrequencies({ headSize: 8, theta: 10000, scaling });
  // 64 tokens are 10.19 rotations at 1, then 1.0186, 0.10 and 0.01.
  const kept = (6.4 / (2 * Math.PI) - 1) / 3;
  expectClose("scaled", scaled, [1, 0.1 * (kept + (1 - kept) / 8), 0.00125, 0.000125], 0, 1e-12);
});

Deno.test("rope() and rotaryFrequencies() refuse what does not fit", () => {
  assertThrows(
    () => rope(input("x", [2, 3, 4, 8], "f32"), new Float64Array(3)),
    TypeError,
    "Cannot rotate [2, 3, 4, 8] by 3 frequencies: it must be [B, T, H, D] with one for each two of D",
  );
  assertThrows(() => rotaryFrequencies({ headSize: 7, theta: 1e4 }), RangeError, "size 7");
  assertThrows(
    () =>
      rotaryFrequencies({
        headSize: 8,
        theta: 1e4,
        scaling: { factor: 8, lowFrequencyFactor: 4, highFrequencyFactor: 4, originalLength: 64 },
      }),
    RangeError,
    "between 4 and 4 rotations",
  );
});

fixtureTest("rotaryFrequencies() gives transformers' frequencies", (folder) => {
  const list = JSON.parse(Deno.readTextFileSync(`${folder}/golden/tables/rope_inv_freq.json`));
  assertEquals(new Set(list.map(({ rope_type }: { rope_type: string }) => rope_type)).size, 2);
  for (const { settings, head_dim, inv_freq } of list) {
    const s = settings.rope_scaling;
    const found = rotaryFrequencies({
      headSize: head_dim,
      theta: settings.rope_theta,
      scaling: s && {
        factor: s.factor,
        lowFrequencyFactor: s.low_freq_factor,
        highFrequencyFactor: s.high_freq_factor,
        originalLength: s.original_max_position_embeddings,
      },
    });
    // The table is f32, computed in f32.
    expectClose(`theta ${settings.rope_theta}, size ${head_dim}`, found, inv_freq, 0, 2e-6);
  }
});
