import { assert, assertEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { timeVariants } from "../../lib/gpu/time_variants.ts";
import { fastest, KernelTuner, type TunerOptions } from "../../lib/gpu/tuner.ts";
import { promisingKernels } from "../../lib/gpu/tuning.ts";
import { variable } from "../../lib/graph/leaves.ts";
import { einsum } from "../../lib/ops/einsum.ts";

/** Plans one product of each size, m of [m, k] · [n, k]ᵀ. */
function planProducts(gpu: Gpu, rows: readonly number[]): string[] {
  gpu.chosenKernels.clear();
  const session = new Session(gpu);
  const roots = rows.map((m) =>
    einsum("mk,nk->mn", variable(`a${m}`, [m, 32], "weight"), variable(`b${m}`, [48, 32], "weight"))
  );
  return session.program(roots, {}, roots).kernels;
}

/** Has the last of the variants take half the time of the others; each class takes a second. */
class FakeClock {
  milliseconds = 0;
  readonly measured: { size: number; names: string[] }[] = [];

  get options(): Pick<TunerOptions, "time" | "now"> {
    return {
      now: () => this.milliseconds,
      time: ({ params }, _, variants) => {
        this.milliseconds += 1000;
        this.measured.push({ size: params.m, names: variants.map(({ name }) => name) });
        return Promise.resolve(variants.map((_, i) => [i === variants.length - 1 ? 1 : 2]));
      },
    };
  }
}

Deno.test("fastest() takes what is clearly below the first, round by round", () => {
  assertEquals(fastest([[10, 10, 10], [9, 9, 9], [8, 8, 8]]), 2);
  assertEquals(fastest([[10, 10, 10], [9.8, 9.8, 9.8]]), 0); // Within the margin.
  assertEquals(fastest([[10, 20, 40], [9, 18, 36]]), 1); // The machine became slower on the way.
  assertEquals(fastest([[10, 10, 10], [1, 11, 11]]), 0); // Once is chance.
  assertEquals(fastest([[10, 10, 10], [], [8, 8, 8]]), 2); // Other bits.
});

gpuTest(
  "KernelTuner takes the faster of the promising variants for what is planned",
  async (gpu) => {
    const [rule] = planProducts(gpu, [64]);
    const clock = new FakeClock();
    const told: Record<string, string>[] = [];
    const tuner = new KernelTuner(gpu, {
      ...clock.options,
      seconds: 10,
      onMeasured: (choices) => Promise.resolve(void told.push({ ...choices })),
    });
    assert(await tuner.tune());
    const [{ names }] = clock.measured;
    assertEquals([names[0], names.length], [rule, 3]);
    assertEquals(told.map((choices) => Object.values(choices)), [[names[2]]]);
    assertEquals(planProducts(gpu, [64]), [names[2]]);
    assertEquals(await tuner.tune(), false);
    assertEquals(clock.measured.length, 1);

    // A tuner that knows them measures nothing, and takes them.
    gpu.kernelChoices.clear();
    const next = new KernelTuner(gpu, { ...clock.options, seconds: 10, known: told[0] });
    assertEquals(planProducts(gpu, [64]), [names[2]]);
    assertEquals([await next.tune(), clock.measured.length], [false, 1]);
  },
);

gpuTest(
  "KernelTuner measures the classes of most work first, and keeps its budget",
  async (gpu) => {
    const rows = [16, 256, 128, 64, 32];
    const before = planProducts(gpu, rows);
    const clock = new FakeClock();
    const tuner = new KernelTuner(gpu, { ...clock.options, seconds: 2.5 });
    await tuner.tune();
    assertEquals(clock.measured.map(({ size }) => size), [256, 128, 64]);
    const after = planProducts(gpu, rows);
    assertEquals(after.map((name, i) => name === before[i]), [true, false, false, false, true]);
    await tuner.tune(); // Nothing is left of it.
    assertEquals(clock.measured.length, 3);
  },
);

gpuTest("KernelTuner leaves to itself what is named, and what it gave up", async (gpu) => {
  gpu.kernelChoices.set("matmul", "matmul_naive");
  planProducts(gpu, [64]);
  const clock = new FakeClock();
  assertEquals(await new KernelTuner(gpu, { ...clock.options, seconds: 10 }).tune(), false);
  assertEquals(clock.measured, []);
  gpu.kernelChoices.clear();
  planProducts(gpu, [64]);
  const told: unknown[] = [];
  const tuner = new KernelTuner(gpu, {
    seconds: 10,
    time: () => Promise.resolve(null),
    onMeasured: (choices) => Promise.resolve(void told.push(choices)),
  });
  assertEquals([await tuner.tune(), gpu.kernelChoices.size, told], [false, 0, []]);
});

gpuTest("timeVariants() times launches, and drops a variant of other bits", async (gpu) => {
  planProducts(gpu, [256]);
  const [{ choice, use }] = gpu.chosenKernels.values();
  assertEquals(use!.operands, { a: 256 * 32, b: 48 * 32, c: 256 * 48 });
  assertEquals(use!.operations, 2 * 256 * 48 * 32);
  const [first, second] = promisingKernels(gpu, choice, 3);
  const wrong = {
    ...second,
    source: (tune: typeof second.tune) =>
      second.source(tune).replace("let sum = ", "let sum = 1e-3 + "),
  };
  const isOver = () => false;
  const times = await timeVariants(gpu, choice, use!, [first, second, wrong], isOver);
  assertEquals(times!.map((own) => own.length), [5, 5, 0]);
  assert(times!.flat().every((time) => time > 0 && time < 1e6), JSON.stringify(times));
  const over = () => true;
  assertEquals(await timeVariants(gpu, choice, use!, [first, second], over), null);
  const large = { ...use!, operands: { ...use!.operands, b: 2 ** 29 } };
  assertEquals(await timeVariants(gpu, choice, large, [first, second], isOver), null);
});
