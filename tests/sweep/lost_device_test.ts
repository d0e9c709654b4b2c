import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { methods } from "../../lib/peft/index.ts";
import { prepareSweep } from "../../lib/sweep/cell_runner.ts";
import { environment } from "../../lib/sweep/environment.ts";
import { resolveExperiment, sweep } from "../../lib/sweep/experiment.ts";
import type { StepProgress } from "../../lib/sweep/run_cell.ts";
import { type Outcome, runSweep } from "../../lib/sweep/runner.ts";
import { files, withFolder } from "./fake_sweep.ts";
import { runFiles } from "./sweep_process.ts";

/** Runs two cells; `onStep` is given the device that they run on. */
async function run(out: string, onStep: (device: GPUDevice, progress: StepProgress) => void) {
  const { requestDevice } = GPUAdapter.prototype;
  const devices: GPUDevice[] = [];
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    return device;
  };
  const prepared = await prepareSweep(resolveExperiment(
    sweep({
      methods: "lora:rank=2;dropout=0.1 soft_prompt:tokens=2",
      trainSize: 96,
      settings: { epochs: 2, batchSize: 8, keep: "best" },
      evaluate: ["validation"],
      checkpoint: { steps: 4 },
      out,
    }),
    methods,
  )).finally(() => GPUAdapter.prototype.requestDevice = requestDevice);
  const outcomes: Outcome[] = [];
  const notes: string[] = [];
  try {
    await runSweep(prepared.cells, prepared.runCell, {
      out,
      label: ({ name }) => name,
      environment: environment(prepared.adapter ?? null),
      reporter: {
        start() {},
        step: (progress) => onStep(devices.at(-1)!, progress),
        epoch() {},
        note: (text) => notes.push(text),
        end: (_, outcome) => Promise.resolve(void outcomes.push(outcome)),
      },
      signal: new AbortController().signal,
    });
  } finally {
    prepared.close();
  }
  return { outcomes, notes };
}

Deno.test("a device that is lost: the cell fails and says what to do, and goes on from its checkpoint", () =>
  withFolder(async (folder) => {
    const [whole, lost] = [`${folder}/whole`, `${folder}/lost`];
    assertEquals((await run(whole, () => {})).outcomes.map(({ kind }) => kind), ["done", "done"]);
    const first = await run(lost, (device, { step }) => {
      if (step >= 7) device.destroy();
    });
    for (const outcome of first.outcomes) {
      assert(outcome.kind === "failed");
      assertStringIncludes(outcome.message, "Cannot go on: the GPU device was lost (");
      assertStringIncludes(
        outcome.message,
        "start the same command again: finished cells are kept",
      );
    }
    assertEquals(first.outcomes.length, 2); // The second one is not even begun on it.
    const left = Object.keys(await files(lost)).filter((name) => name.includes("checkpoint"));
    assertEquals(left.length, 1, left.join());
    const again = await run(lost, () => {});
    assertEquals(again.outcomes.map(({ kind }) => kind), ["done", "done"]);
    assertEquals(again.notes.length, 1);
    assertStringIncludes(again.notes[0], "Going on from step 4 of ");
    assertEquals(await runFiles(lost), await runFiles(whole));
  }));
