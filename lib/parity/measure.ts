/**
 * What a model computes on one batch: outputs, gradients, and some steps of AdamW, through the same
 * programs as training.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { Session } from "../gpu/session.ts";
import type { MemoryPlan } from "../graph/memory.ts";
import { input } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import { bindShape, symbol } from "../graph/shape.ts";
import type { Context } from "../layers/site.ts";
import type { Model, Trace } from "../models/model.ts";
import type { Attached } from "../peft/method.ts";
import { backwardRoots } from "../train/backward.ts";
import type { WeightValues } from "../train/initialize.ts";
import { buildUpdate, type UpdateOptions } from "../train/optimizer.ts";
import { meanLoss } from "../train/task.ts";
import type { Batch } from "./batch.ts";

/** A tensor in f32, row-major. */
export interface Measured {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** What {@linkcode measure} needs. */
export interface Measurement {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly attached: Attached;
  /** Values of every parameter, the method's own among them. */
  readonly values: WeightValues;
  readonly batch: Batch;
  /** Steps to train; none where nothing trains. */
  readonly steps: number;
  readonly weightDecay: number;
  readonly learningRate: number;
  /** Parameters whose values are wanted in the end. */
  readonly wanted: readonly string[];
}

/** What {@linkcode measure} found. */
export interface Measures {
  /** Every tensor of the forward pass that has a name, with `logits` and `loss`, before any step. */
  readonly outputs: ReadonlyMap<string, Measured>;
  /** `logits` and `loss` after the last step. */
  readonly final: ReadonlyMap<string, Measured>;
  /** Loss before each step. */
  readonly losses: readonly number[];
  /** Gradients at the start, by parameter. */
  readonly gradients: ReadonlyMap<string, Measured>;
  /** Values of the wanted parameters after the last step. */
  readonly parameters: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  readonly memory: MemoryPlan;
}

/** The optimizer of the golden data, but for what a measurement gives. */
const ADAMW = {
  schedule: "constant",
  warmupSteps: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  decay: "all",
  clipNorm: null,
} as const satisfies Partial<UpdateOptions>;

/** Runs a measurement; the device's memory of it is free again when this returns or throws. */
export async function measure(measurement: Measurement): Promise<Measures> {
  const session = new Session(measurement.gpu);
  try {
    return await measureIn(session, measurement);
  } finally {
    session.destroy();
  }
}

async function measureIn(session: Session, measurement: Measurement): Promise<Measures> {
  const { model, attached, values, batch, steps, weightDecay, learningRate, wanted } = measurement;
  const trace: Trace = new Map();
  const { logits, loss } = forward(model, {}, trace);
  trace.set("logits", logits).set("loss", loss);
  const evaluation = session.program([...trace.values()], batch.sizes, [...trace.values()]);
  const trainable = steps === 0 ? [] : attached.trainable;
  const update = trainable.length === 0 ? null : buildUpdate({
    ...ADAMW,
    parameters: trainable.map(({ node }) => node),
    steps,
    learningRate,
    weightDecay,
  });
  const backward = update === null
    ? null
    : session.program(backwardRoots(forward(model, {}).loss, update), batch.sizes);
  const updating = update === null ? null : session.program(update.roots, {});
  await session.build();
  session.poison();
  for (const [name, data] of [...values, ...update?.initial ?? []]) session.upload(name, data);

  const evaluate = async (names: readonly string[]) => {
    session.write(evaluation, batch.values);
    session.run([evaluation]);
    return await readNodes(session, evaluation, new Map(names.map((n) => [n, trace.get(n)!])));
  };
  const outputs = await evaluate([...trace.keys()]);
  const gradients = new Map<string, Measured>();
  if (backward !== null && updating !== null) {
    session.write(backward, batch.values);
    session.run([backward]);
    const found = await session.readVariables(trainable.map(({ name }) => `${name}.grad`));
    for (const { name, shape } of trainable) {
      gradients.set(name, { shape, data: found.get(`${name}.grad`)! });
    }
    session.run([updating]);
    for (let step = 1; step < steps; step++) session.run([backward, updating]);
  }
  const final = await evaluate(["logits", "loss"]);
  const recorded = update === null ? [] : ["losses"];
  const parameters = await session.readVariables([...recorded, ...wanted]);
  const losses = [...parameters.get("losses")?.subarray(0, steps) ?? []];
  parameters.delete("losses");
  return { outputs, gradients, losses, final, parameters, memory: session.memory() };
}

function forward(model: Model, context: Context, trace?: Trace): { logits: Node; loss: Node } {
  const [B, T, D] = ["B", "T", "D"].map(symbol);
  const inputs = {
    ids: input("ids", [B, T], "u32"),
    mask: input("mask", [B, T], "f32"),
    tokenTypes: model.tokenTypes === undefined ? undefined : input("token_types", [B, T], "u32"),
  };
  if (model.textToText === undefined) {
    const last = input("last", [B], "u32");
    const logits = model.classify!({ ...inputs, last }, context, trace);
    return { logits, loss: meanLoss(logits, input("labels", [B], "i32")) };
  }
  const decoderIds = input("decoder_ids", [B, D], "u32");
  const logits = model.textToText.logits({ ...inputs, decoderIds }, context, trace);
  return { logits, loss: meanLoss(logits, input("labels", [B, D], "i32")) };
}

async function readNodes(
  session: Session,
  program: Program,
  nodes: ReadonlyMap<string, Node>,
): Promise<Map<string, Measured>> {
  const data = await session.read(program, [...nodes.values()]);
  return new Map(
    [...nodes].map(([name, { shape }], i) => [
      name,
      { shape: bindShape(shape, program.sizes), data: data[i] },
    ]),
  );
}
