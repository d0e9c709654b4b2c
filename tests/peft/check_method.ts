/**
 * Checks a method on a small piece of a model against an f64 reference of its paper's formula: output,
 * and gradients by central differences of the reference along two directions.
 *
 * @module
 */

import { assert } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { input } from "../../lib/graph/leaves.ts";
import type { Node } from "../../lib/graph/node.ts";
import { elements } from "../../lib/graph/shape.ts";
import { Scope } from "../../lib/layers/scope.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { methods } from "../../lib/peft/index.ts";
import { attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues } from "../../lib/train/initialize.ts";
import { expectClose, randomNormal } from "../check_op.ts";

/** Inputs and parameters by name, flat, in f64. */
export type Values = Readonly<Record<string, Float64Array>>;

/** One case. */
export interface MethodCase {
  readonly name: string;
  readonly method: string;
  readonly options: MethodOptions;
  /** Shapes of the inputs. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** Declares the base's parameters and sites, and returns its forward pass. */
  readonly build: (scope: Scope) => (inputs: Readonly<Record<string, Node>>) => Node;
  /**
   * The output in f64.
   *
   * @param at Values at which gradients are taken: what the paper holds constant is read from there.
   */
  readonly reference: (values: Values, at: Values) => Float64Array;
  /** How many parameters train. */
  readonly trains: number;
}

/** Runs one case; all parameters have moved away from their start, constants have not. */
export async function checkMethod(gpu: Gpu, check: MethodCase): Promise<void> {
  const { name, reference } = check;
  const method = methods[check.method];
  const base = new Scope();
  const forward = check.build(base);
  const { trainable, delta } = attachMethod(
    { scope: base, head: [] },
    method,
    method.parse(check.options),
  );
  const inputs = Object.fromEntries(
    Object.entries(check.inputs).map(([key, shape]) => [key, input(key, shape, "f32")]),
  );
  const y = forward(inputs);
  const c = input("c", y.shape, "f32");
  const parameters = trainable.map(({ node }) => node);
  assert(parameters.length === check.trains, `${name}: ${parameters.length} parameters train`);
  const gradients = differentiate(y, c, parameters, add);
  const outputs = [y, ...parameters.map((node) => gradients.get(node)!.reduce(add))];

  const values: Record<string, Float64Array> = {};
  for (const [key, shape] of Object.entries(check.inputs)) {
    values[key] = randomNormal(elements(shape));
  }
  for (const { name, shape } of base.select()) values[name] = randomNormal(elements(shape));
  const starts = new Map(base.select().map(({ name }) => [name, Float32Array.from(values[name])]));
  const trained = new Set(trainable.map(({ name }) => name));
  for (const parameter of delta.select()) {
    const start = Float64Array.from(initialValues(parameter, 5, starts));
    const moved = randomNormal(start.length).map((x, i) => Math.fround(start[i] + x / 2));
    values[parameter.name] = trained.has(parameter.name) ? moved : start;
  }
  const seed = randomNormal(elements(y.shape as number[]));

  const session = new Session(gpu);
  try {
    const program = session.program(outputs, {}, outputs);
    await session.build();
    session.poison();
    for (const { name } of [...base.select(), ...delta.select()]) {
      if (session.has(name)) session.upload(name, Float32Array.from(values[name]));
    }
    const given = Object.keys(check.inputs).map((key) => [key, Float32Array.from(values[key])]);
    session.write(program, { ...Object.fromEntries(given), c: Float32Array.from(seed) });
    session.run([program]);
    const [found, ...slopes] = await session.read(program, outputs);
    expectClose(name, found, reference(values, values), 2e-5, 2e-5);
    trainable.forEach((parameter, i) => {
      const norm = Math.sqrt(dot(slopes[i], slopes[i]));
      assert(norm > 0, `${name}: ${parameter.name} has no gradient`);
      const along = Float64Array.from(slopes[i], (x) => x / norm);
      for (const v of [randomNormal(along.length), along]) {
        const difference = slope(check, values, parameter.name, v, seed);
        const directional = dot(slopes[i], v);
        const bound = 1e-3 * (Math.abs(difference) + norm);
        assert(
          Math.abs(directional - difference) <= bound,
          `${name}: gradient of ${parameter.name} along v is ${directional}, the reference's ${difference}`,
        );
      }
    });
  } finally {
    session.destroy();
  }
}

/** Derivative of ⟨seed, reference⟩ along v in one parameter. */
export function slope(
  { reference }: Pick<MethodCase, "reference">,
  values: Values,
  parameter: string,
  v: Float64Array,
  seed: Float64Array,
  at: Values = values,
): number {
  const h = 1e-5;
  const moved = (sign: number) => ({
    ...values,
    [parameter]: values[parameter].map((x, i) => x + sign * h * v[i]),
  });
  return (dot(seed, reference(moved(1), at)) - dot(seed, reference(moved(-1), at))) / (2 * h);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
