/**
 * The comparison of fine-tuning methods: `deno task sweep`, see `--help`.
 *
 * @module
 */
import { type Experiment, sweep } from "../lib/sweep/experiment.ts";
import { start } from "../lib/sweep/start.ts";

const experiment: Experiment = sweep({
  base: "embedded",
  data: "embedded",
  methods: "zero_shot head full soft_prompt:tokens=1,10 adapter:bottleneck=1,8 lora:rank=1,8",
  settings: { epochs: 5 },
});

export default experiment;

if (import.meta.main) {
  const about = `Trains a base model by several methods and prints the comparison table.

  deno task sweep [options]        without options: the embedded base and data, nine cells`;
  await start({ about, experiment }, Deno.args);
}
