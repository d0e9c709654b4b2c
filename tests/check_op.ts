/**
 * Checks an operation against an f64 reference of its forward formula: outputs, and gradients by
 * a directional central difference of the reference.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { Session, type Values } from "../lib/gpu/session.ts";
import { differentiate } from "../lib/graph/differentiate.ts";
import { input } from "../lib/graph/leaves.ts";
import type { DType, Node } from "../lib/graph/node.ts";
import { bindShape, elements, type Shape, type Sizes } from "../lib/graph/shape.ts";
import type { StoragePolicy } from "../lib/graph/precision.ts";
import { add } from "../lib/ops/elementwise.ts";

/** An input of the checked operation. */
export interface CheckInput {
  readonly shape: Shape;
  /** Not differentiated where it is not f32. */
  readonly dtype?: DType;
  /** Values, where random ones will not do; f32 inputs are standard normal otherwise. */
  readonly values?: ArrayLike<number>;
  /** Leave this f32 input out of the gradient check. */
  readonly constant?: boolean;
}

/** One case. */
export interface CheckCase {
  readonly inputs: readonly CheckInput[];
  readonly sizes?: Sizes;
  readonly build: (inputs: readonly Node[]) => Node;
  /** The same in f64: flat inputs to flat output. */
  readonly reference: (inputs: readonly Float64Array[]) => ArrayLike<number>;
  /** Absolute and relative tolerance of the output; f32 rounding of short sums by default. */
  readonly atol?: number;
  readonly rtol?: number;
  /** Relative tolerance of the directional derivative. */
  readonly gradientTolerance?: number;
  /** False for operations without a gradient. */
  readonly differentiable?: boolean;
}

/** How a case is stored in half precision; see `tests/ops/half_storage_test.ts`. */
export interface HalfStorage {
  readonly policy: StoragePolicy;
  /** Added to the case's own tolerances: of the output's largest magnitude, of the derivative. */
  readonly output: number;
  readonly gradient: number;
}

/** A test that opens a device and closes it; fails, not skips, where there is no adapter. */
export function gpuTest(
  name: string,
  body: (gpu: Gpu) => Promise<void>,
  maxBinding?: number,
): void {
  Deno.test(name, async () => {
    const gpu = await openGpu({ maxBinding });
    try {
      await body(gpu);
      gpu.check();
    } finally {
      gpu.destroy();
    }
  });
}

/** Standard normal values, f32-representable, new ones with every call (seeded by a counter). */
export function randomNormal(count: number, seed = nextSeed++): Float64Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float64Array.from(
    { length: count },
    () =>
      Math.fround(Math.sqrt(-2 * Math.log(uniform() + 1e-12)) * Math.cos(2 * Math.PI * uniform())),
  );
}
let nextSeed = crypto.getRandomValues(new Uint32Array(1))[0];

function toValues(values: ArrayLike<number>, dtype: DType): Values {
  if (dtype === "u32") return Uint32Array.from(values);
  if (dtype === "i32") return Int32Array.from(values);
  return Float32Array.from(values);
}

/**
 * Runs one case: the output must match the reference, and ⟨gradient, v⟩ must match the central
 * difference of ⟨c, reference⟩ along v, towards each f32 input, for random c, a random v (which
 * sees errors in any entry) and v = gradient / ‖gradient‖ (along which no wrong factor can hide).
 *
 * With `half`, all f32 values given to both are rounded to f16 first.
 */
export async function checkOp(
  gpu: Gpu,
  name: string,
  check: CheckCase,
  half?: HalfStorage,
): Promise<void> {
  const { sizes = {}, rtol = 1e-5 } = check;
  const gradientTolerance = (check.gradientTolerance ?? 2e-3) + (half?.gradient ?? 0);
  const rounded = (x: Float64Array) => half === undefined ? x : x.map(Math.f16round);
  const nodes = check.inputs.map(({ shape, dtype = "f32" }, i) => input(`x${i}`, shape, dtype));
  const flat = check.inputs.map(({ shape, dtype = "f32", values }) => {
    const given = values !== undefined
      ? Float64Array.from(values)
      : randomNormal(elements(bindShape(shape, sizes)));
    return dtype === "f32" ? rounded(given) : given;
  });
  const y = check.build(nodes);
  const expected = Float64Array.from(check.reference(flat));
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const atol = (check.atol ?? 1e-5) + (half?.output ?? 0) * largest;
  const c = rounded(randomNormal(elements(bindShape(y.shape, sizes))));
  const wrt = check.differentiable === false
    ? []
    : nodes.filter((node, i) => node.dtype === "f32" && !check.inputs[i].constant);
  const seed = input("c", y.shape, "f32");
  const gradients = differentiate(y, seed, wrt, add);
  const outputs = [
    y,
    ...wrt.map((node) => {
      const parts = gradients.get(node)!;
      assert(parts.length > 0, `${name}: no gradient reached input ${nodes.indexOf(node)}`);
      return parts.reduce(add);
    }),
  ];

  const session = new Session(gpu, half?.policy);
  try {
    const program = session.program(outputs, sizes, outputs);
    await session.build();
    session.poison();
    const values = Object.fromEntries(
      nodes.map((node, i) => [`x${i}`, toValues(flat[i], node.dtype)]),
    );
    session.write(program, { ...values, c: toValues(c, "f32") });
    session.run([program]);
    const [output, ...grads] = await session.read(program, outputs);
    expectClose(`${name}: output`, output, expected, atol, rtol);
    wrt.forEach((node, g) => {
      const i = nodes.indexOf(node);
      const norm = Math.sqrt(dot(grads[g], grads[g]));
      const own = Float64Array.from(grads[g], (value) => norm > 0 ? value / norm : 0);
      for (const v of [randomNormal(flat[i].length), own]) {
        const h = 1e-5;
        const along = (sign: number) => {
          const moved = flat.map((x, j) =>
            j === i ? x.map((value, e) => value + sign * h * v[e]) : x
          );
          return dot(c, Float64Array.from(check.reference(moved)));
        };
        const difference = (along(1) - along(-1)) / (2 * h);
        const directional = dot(grads[g], v);
        const bound = gradientTolerance * (Math.abs(difference) + norm + 1e-6);
        assert(
          Math.abs(directional - difference) <= bound,
          `${name}: gradient of input ${i} along v is ${directional}, the reference's ${difference} (bound ${bound})`,
        );
      }
    });
  } finally {
    session.destroy();
  }
}

/** Fails where |actual − expected| > atol + rtol·|expected| anywhere, or where lengths differ. */
export function expectClose(
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  atol: number,
  rtol: number,
): void {
  assert(
    actual.length === expected.length,
    `${name}: ${actual.length} values, not ${expected.length}`,
  );
  let worst = -1;
  let worstExcess = 0;
  for (let i = 0; i < expected.length; i++) {
    const excess = Math.abs(actual[i] - expected[i]) - (atol + rtol * Math.abs(expected[i]));
    if (!(excess <= 0) && !(worstExcess >= excess)) [worst, worstExcess] = [i, excess];
  }
  assert(
    worst < 0,
    `${name}: element ${worst} is ${actual[worst]}, not ${
      expected[worst]
    } (over the tolerance by ${worstExcess})`,
  );
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
