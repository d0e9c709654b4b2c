/**
 * This engine, as one among others.
 *
 * @module
 */

import { openGpu } from "../../lib/gpu/device.ts";
import type { Program } from "../../lib/gpu/program.ts";
import { Session } from "../../lib/gpu/session.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { readSafetensors } from "../../lib/formats/safetensors.ts";
import { buildModel } from "../../lib/models/index.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { makeTask } from "../../lib/train/task.ts";
import config from "../../deno.json" with { type: "json" };
import { openStep, type Workload } from "../workload.ts";
import { COMPARED_STEPS, type Engine, type Job, type ModelJob, type Task } from "./protocol.ts";

/** Opens the adapter. */
export async function openOurs(): Promise<Engine> {
  const gpu = await openGpu();

  async function matmul({ size, weights }: Job): Promise<Task> {
    const session = new Session(gpu);
    const shape = [size, size];
    const c = einsum("mk,kn->mn", variable("a", shape, "weight"), variable("b", shape, "weight"));
    const program = session.program([c], {}, [c]);
    await session.build();
    const file = await readSafetensors(weights);
    for (const name of ["a", "b"]) session.upload(name, await file.read(name));
    session.run([program]);
    const [values] = await session.read(program, [c]);
    return {
      values: [...values.subarray(0, size)],
      run: (count) => {
        session.run(Array<Program>(count).fill(program));
        return session.wait();
      },
      release: () => session.destroy(),
    };
  }

  async function step(model: ModelJob): Promise<Task> {
    const workload = { name: "", ...model } as unknown as Workload;
    const { session, submit } = await openStep(gpu, workload, null);
    const values: number[] = [];
    for (let i = 0; i < COMPARED_STEPS; i++) {
      submit(1);
      values.push((await session.readVariables(["losses"])).get("losses")![i]);
    }
    return {
      values,
      run: (count) => {
        submit(count);
        return session.wait();
      },
      release: () => session.destroy(),
    };
  }

  async function inference(
    { weights }: Job,
    { config, ids, batch, length }: ModelJob,
  ): Promise<Task> {
    const task = makeTask(buildModel({ ...config }, { classes: 2, head: false }), 0, null);
    const scores = task.scores();
    const session = new Session(gpu);
    const program = session.program([scores], { B: batch, T: length }, [scores]);
    await session.build();
    const file = await readSafetensors(weights);
    for (const name of file.names()) session.upload(name, await file.read(name));
    const indices = ids.map((_, i) => i);
    const examples = ids.map((own) => ({ ids: own }));
    const inputs = task.scoringInputs({ examples, indices, size: batch, length });
    const submit = (count: number) => {
      for (let i = 0; i < count; i++) {
        session.write(program, inputs);
        session.run([program]);
      }
    };
    submit(1);
    const [values] = await session.read(program, [scores]);
    return {
      values: [...values],
      run: (count) => {
        submit(count);
        return session.wait();
      },
      release: () => session.destroy(),
    };
  }

  return {
    hello: {
      engine: "Tunegrid",
      version: config.version,
      device: gpu.adapter.description,
      software: gpu.adapter.software,
    },
    prepare: async (job) =>
      job.kind === "matmul"
        ? await matmul(job)
        : job.kind === "step"
        ? await step(job.model!)
        : await inference(job, job.model!),
  };
}
