import { assertEquals, assertRejects } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import { sweep } from "../../lib/sweep/experiment.ts";
import { experimentFromArgs } from "../../lib/sweep/flags.ts";
import { expandGrid } from "../../lib/sweep/grid.ts";
import { context } from "./fake_sweep.ts";

const nine = "zero_shot head full soft_prompt:tokens=1,10 adapter:bottleneck=1,8 lora:rank=1,8";
const read = (text: string) =>
  experimentFromArgs(["--methods", text], sweep({ methods: "full" }), methods);

Deno.test("the six methods make nine cells with their own labels and learning rates", async () => {
  const resolved = await read(nine);
  const grid = expandGrid(resolved!, context);
  assertEquals(
    grid.map(({ method, settings }) => [method.name, +settings.learningRate.toPrecision(2)]),
    [
      ["zero_shot", 0],
      ["head", 0.01],
      ["full", 0.001],
      ["soft_prompt", 0.3],
      ["soft_prompt", 0.095],
      ["adapter", 0.005],
      ["adapter", 0.005],
      ["lora", 0.005],
      ["lora", 0.005],
    ],
  );
  const labels = grid.map(({ method }) => methods[method.name].label(method.options));
  assertEquals(new Set(labels).size, 9);
});

Deno.test("every method refuses options it does not have, and sizes below 1", async () => {
  for (const name of Object.keys(methods)) {
    await assertRejects(() => read(`${name}:nonsense=1`), TypeError, "nonsense");
  }
  for (const text of ["lora:rank=0", "adapter:bottleneck=0", "soft_prompt:tokens=-1"]) {
    await assertRejects(() => read(text), RangeError, "at least 1", text);
  }
});
