/**
 * The sweep's main with the fake methods, as a program of its own: tests stop and kill it.
 * The first argument is how many milliseconds every epoch takes at least.
 */
import { sweep } from "../../lib/sweep/experiment.ts";
import { expandGrid } from "../../lib/sweep/grid.ts";
import { main } from "../../lib/sweep/main.ts";
import { context, registry, runCell } from "./fake_sweep.ts";

const [pause, ...args] = Deno.args;
const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, Number(pause)));

await main(sweep({ methods: "zero_shot full lora:rank=1,8" }), args, {
  about: "Runs the fake sweep.",
  methods: registry,
  dryRun: () => Promise.resolve("nothing is run"),
  prepare: async (experiment) => {
    if (experiment.base === "missing") {
      throw new Error("Cannot read missing/config.json: no such file or folder");
    }
    if (experiment.base === "slow") {
      await Deno.writeTextFile(`${experiment.out}/preparing`, "");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    }
    return {
      cells: expandGrid(experiment, context),
      runCell: async (cell, hooks) => {
        if (experiment.base === "failing" && cell.method.name === "full") {
          throw new Error("Cannot allocate 9 bytes");
        }
        const result = await runCell(cell, hooks);
        for (const _ of result.epochs) {
          await wait();
          hooks.signal.throwIfAborted();
        }
        return result;
      },
      close() {},
    };
  },
});
