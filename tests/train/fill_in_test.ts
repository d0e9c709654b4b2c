import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { storagePolicy } from "../../lib/graph/precision.ts";
import { scale } from "../../lib/ops/elementwise.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod } from "../../lib/peft/method.ts";
import { buildModel } from "../../lib/models/index.ts";
import { fillIn } from "../../lib/train/fill_in.ts";
import { initialValues } from "../../lib/train/initialize.ts";
import { isPartSource, loadWeights, streamWeights } from "../../lib/train/load_weights.ts";
import { overValues, PART_ELEMENTS, StreamedValues } from "../../lib/train/weight_values.ts";
import { checkpoint } from "../checkpoint.ts";
import { gpuTest } from "../check_op.ts";
import { llamaConfig, t5Config } from "../small_models.ts";

/** Whole numbers that f16 holds, as a file would give them; notes the size of each reading. */
function counted(length: number, sizes: number[]): StreamedValues {
  const part = (from: number, to: number) => {
    sizes.push(to - from);
    return Float32Array.from({ length: to - from }, (_, i) => (from + i) % 2039);
  };
  return new StreamedValues(new Map([["w", { length, part }]]));
}

for (const precision of ["f32", "f16"] as const) {
  gpuTest(`a large variable is filled part by part, ${precision}`, async (gpu) => {
    if (precision === "f16") assert(gpu.adapter.features.includes("shader-f16"));
    const length = PART_ELEMENTS + 5; // an odd end
    const sizes: number[] = [];
    const session = new Session(gpu, storagePolicy(precision, []));
    try {
      const w = variable("w", [length], "weight");
      session.program([scale(w, 2)], {});
      await session.build();
      await fillIn(session, "w", counted(length, sizes));
      assertEquals(sizes, [PART_ELEMENTS, 5]);
      const found = (await session.readVariables(["w"])).get("w")!;
      assertEquals(found.length, length);
      assertEquals(found.findIndex((value, i) => value !== i % 2039), -1);
      await assertRejects(
        () => fillIn(session, "w", counted(length + 1, [])),
        TypeError,
        `Cannot fill w: it has ${length} elements, found ${length + 1}`,
      );
      await assertRejects(() => fillIn(session, "w", new Map()), RangeError, "it has no values");
    } finally {
      session.destroy();
    }
  });
}

Deno.test("streamed values are read when asked for, by name, and not kept", () => {
  const sizes: number[] = [];
  const values = counted(7, sizes);
  const own = new Map([["v", Float32Array.of(1, 2)], ["u", new Float32Array(1)]]);
  const all = overValues(values, own);
  assertEquals([...all.keys()], ["w", "v", "u"]);
  assertEquals([all.size, all.has("v"), all.has("x"), all.get("x")], [3, true, false, undefined]);
  assertEquals(sizes, []);
  assert(all.get("v") === own.get("v"));
  assertEquals(all.get("w"), Float32Array.of(0, 1, 2, 3, 4, 5, 6));
  assertEquals(sizes, [7]);
  assert(all.get("w") !== all.get("w"));
  const hidden = overValues(all, new Map([["w", Float32Array.of(9)]]));
  assertEquals([...hidden], [["w", Float32Array.of(9)], ...own]);
  assertEquals(sizes, [7, 7, 7]);
  // Plain maps stay plain.
  assert(overValues(own, own) instanceof Map);
  assertEquals([...overValues(own, values).keys()], ["v", "u", "w"]);
});

/** The checkpoint of a model, read part by part. */
function parts(...given: Parameters<typeof checkpoint>) {
  const source = checkpoint(...given);
  const [, { value = () => 2 } = {}] = given;
  const largest = { elements: 0 };
  const readPart = (name: string, from: number, to: number) => {
    largest.elements = Math.max(largest.elements, to - from);
    return new Float32Array(to - from).fill(value(name));
  };
  return { source: { ...source, readPart }, largest };
}

Deno.test("streaming refuses what loading refuses, in the same words", async () => {
  const llama = buildModel(llamaConfig, { classes: 3, head: false });
  const t5 = buildModel(t5Config, { classes: 2, head: false });
  for (
    const [model, { source }] of [
      [llama, parts(llama, { drop: ["model.norm.weight"], add: { other: [2] } })],
      [llama, parts(llama, { add: { "model.norm.weight": [25] } })],
      [
        t5,
        parts(t5, {
          add: { "lm_head.weight": [121, 20] },
          value: (name) => name === "lm_head.weight" ? 3 : 2,
        }),
      ],
    ] as const
  ) {
    const error = await assertRejects(() => loadWeights(model, source), TypeError);
    assertThrows(() => streamWeights(model, source), TypeError, error.message);
  }
  assert(!isPartSource(checkpoint(llama)));
});

Deno.test("initial values of a method take rows and matrices from what is streamed", async () => {
  for (
    const [name, options] of [["soft_prompt", {}], ["lora", { init: "pissa", rank: 1 }]] as const
  ) {
    const model = buildModel(llamaConfig, { classes: 2, head: false });
    const { source, largest } = parts(model);
    const loaded = await loadWeights(model, source);
    const streamed = streamWeights(model, source);
    assertEquals(largest.elements, 0);
    const { delta } = attachMethod(
      { ...model, encode: () => [1, 2] },
      methods[name],
      methods[name].parse(options),
    );
    for (const parameter of delta.select()) {
      assertEquals(
        initialValues(parameter, 3, streamed),
        initialValues(parameter, 3, loaded),
        parameter.name,
      );
    }
    const most = name === "soft_prompt" ? 24 : 24 * 36; // a row, a matrix
    assert(largest.elements <= most, `${name}: ${largest.elements}`);
  }
});
