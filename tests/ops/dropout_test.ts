import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { testCases } from "../op_cases.ts";
import { cases } from "./cases/dropout.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input } from "../../lib/graph/leaves.ts";
import { dropout } from "../../lib/ops/dropout.ts";

testCases("dropout()", cases);

interface Draw {
  readonly examples: number[];
  readonly tokens: number;
  readonly site?: string;
  readonly step?: number;
  readonly seed?: number;
}

const CHANNELS = 40;
const PROBABILITY = 0.1;

/** Kept (1) or dropped (0), by example and token: [example][token] is a string of 40 digits. */
async function draw(gpu: Gpu, { examples, tokens, site = "a", step = 3, seed = 5 }: Draw) {
  const x = input("x", [examples.length, tokens, CHANNELS], "f32");
  const y = dropout(x, {
    probability: PROBABILITY,
    site,
    examples: input("examples", [examples.length], "u32"),
    step: input("step", [1], "u32"),
    seed: input("seed", [1], "u32"),
  });
  const session = new Session(gpu);
  try {
    const program = session.program([y], {}, [y]);
    await session.build();
    session.write(program, {
      x: new Float32Array(examples.length * tokens * CHANNELS).fill(1),
      examples: Uint32Array.from(examples),
      step: Uint32Array.of(step),
      seed: Uint32Array.of(seed),
    });
    session.run([program]);
    const [values] = await session.read(program, [y]);
    return examples.map((_, b) =>
      Array.from({ length: tokens }, (_, t) => {
        const start = (b * tokens + t) * CHANNELS;
        return Array.from(values.subarray(start, start + CHANNELS), (v) => v === 0 ? 0 : 1).join(
          "",
        );
      })
    );
  } finally {
    session.destroy();
  }
}

gpuTest("dropout() draws the same in any bucket and any place of the batch", async (gpu) => {
  const short = await draw(gpu, { examples: [4, 9, 2], tokens: 8 });
  const long = await draw(gpu, { examples: [2, 7, 4, 9], tokens: 24 });
  assertEquals(long[2].slice(0, 8), short[0]);
  assertEquals(long[3].slice(0, 8), short[1]);
  assertEquals(long[0].slice(0, 8), short[2]);
});

gpuTest("dropout() draws anew for each step, site, seed, example and token", async (gpu) => {
  const base = { examples: [4, 9], tokens: 8 };
  const first = await draw(gpu, base);
  for (const changed of [{ step: 4 }, { site: "b" }, { seed: 6 }]) {
    assertNotEquals(await draw(gpu, { ...base, ...changed }), first, JSON.stringify(changed));
  }
  assertNotEquals(first[0], first[1]);
  assertEquals(new Set(first.flat()).size, 16, "two tokens drop the same channels");
});

gpuTest("dropout() drops at its rate, and neighbours drop independently", async (gpu) => {
  const digits = (await draw(gpu, {
    examples: Array.from({ length: 64 }, (_, i) => i),
    tokens: 32,
  }))
    .flat().join("");
  const n = digits.length;
  // Five standard deviations of a binomial count.
  const within = (count: number, p: number, trials: number) =>
    Math.abs(count - p * trials) < 5 * Math.sqrt(p * (1 - p) * trials);
  const dropped = [...digits].filter((digit) => digit === "0").length;
  assert(within(dropped, PROBABILITY, n), `${dropped} of ${n} were dropped`);
  for (const distance of [1, CHANNELS, CHANNELS * 32]) {
    let both = 0;
    for (let i = distance; i < n; i++) {
      if (digits[i] === "0" && digits[i - distance] === "0") both++;
    }
    assert(
      within(both, PROBABILITY ** 2, n - distance),
      `${both} of ${n} pairs at distance ${distance} were dropped`,
    );
  }
});

Deno.test("dropout() is nothing at probability 0, and refuses 1", () => {
  const x = input("x", [2, 3], "f32");
  const keys = {
    site: "a",
    examples: input("examples", [2], "u32"),
    step: input("step", [1], "u32"),
    seed: input("seed", [1], "u32"),
  };
  assert(dropout(x, { probability: 0, ...keys }) === x);
  assertThrows(() => dropout(x, { probability: 1, ...keys }), RangeError, "probability 1");
});
