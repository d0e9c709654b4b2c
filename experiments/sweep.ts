/**
 * The comparison of fine-tuning methods: `deno task sweep`, see `--help`.
 *
 * @module
 */
import { methods } from "../lib/peft/index.ts";
import { type Experiment, sweep } from "../lib/sweep/experiment.ts";
import { main } from "../lib/sweep/main.ts";

const experiment: Experiment = sweep({
  base: "embedded",
  data: "embedded",
  methods: "zero_shot head full soft_prompt:tokens=1,10 adapter:bottleneck=1,8 lora:rank=1,8",
  settings: { epochs: 5 },
});

export default experiment;

if (import.meta.main) {
  await main(experiment, Deno.args, {
    methods,
    // Loaded only when there is something to run: it brings the whole engine.
    prepare: async (resolved) =>
      await (await import("../lib/sweep/cell_runner.ts")).prepareSweep(resolved),
  });
}
