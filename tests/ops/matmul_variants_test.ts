import { assertEquals, assertThrows } from "@std/assert";
import type { Kernel, Params } from "../../kernels/kernel.ts";
import type { MatmulSignature } from "../../kernels/matmul.ts";
import { matmulVariants } from "../../kernels/matmul_variants.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { choiceKey, chooseKernel, type Tuned } from "../../lib/gpu/tuning.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { type Node, op } from "../../lib/graph/node.ts";
import { checkOp, expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { OpCase } from "../op_cases.ts";
import { cases as einsumCases } from "./cases/einsum.ts";

/** Sizes that straddle the edges of blocks and tiles; batches in the last two. */
const shapes: [m: number, n: number, k: number, i: number, j: number][] = [
  [1, 1, 1, 1, 1],
  [7, 33, 5, 1, 1],
  [16, 32, 8, 1, 1],
  [17, 31, 3, 1, 1],
  [65, 130, 17, 1, 1],
  [129, 5, 2, 1, 1],
  [24, 25, 32, 2, 3],
  [9, 10, 16, 3, 1],
];

const plain = { aligned: false, accumulate: false, bias: false, addend: false };
/** Each operand's layout and each fusion once alone or all together: they do not interact. */
const signatures: MatmulSignature[] = [
  { ...plain, aUnit: "k", bUnit: "n" },
  { ...plain, aUnit: "m", bUnit: "k", bias: true },
  { ...plain, aUnit: "k", bUnit: "k", bias: true, addend: true, accumulate: true },
  { ...plain, aUnit: "k", bUnit: "n", aligned: true },
  { ...plain, aUnit: "m", bUnit: "n", aligned: true },
  { ...plain, aUnit: "m", bUnit: "k", aligned: true },
  { ...plain, aUnit: "k", bUnit: "k", aligned: true },
];

/**
 * Operands with padding in every row and before the first element of A and C; where the signature
 * is aligned, k is rounded up to a multiple of four.
 */
function layout(
  { aUnit, bUnit, aligned }: MatmulSignature,
  [m, n, steps, i, j]: (typeof shapes)[number],
): Params {
  const padded = (size: number) => aligned ? Math.ceil(size / 4) * 4 + 4 : size + 1;
  const k = aligned ? Math.ceil(steps / 4) * 4 : steps;
  const [aRows, aRow] = aUnit === "k" ? [m, padded(k)] : [k, padded(m)];
  const [bRows, bRow] = bUnit === "n" ? [k, padded(n)] : [n, padded(k)];
  return {
    m,
    n,
    k,
    batch_i: i,
    batch_j: j,
    a_0: 4,
    a_i: j * aRows * aRow,
    a_j: aRows * aRow,
    a_m: aUnit === "k" ? aRow : 1,
    a_k: aUnit === "k" ? 1 : aRow,
    b_i: 0, // one B for all i
    b_j: bRows * bRow,
    b_k: bUnit === "n" ? bRow : 1,
    b_n: bUnit === "n" ? 1 : bRow,
    c_0: 2,
    c_i: j * m * (n + 1),
    c_j: m * (n + 1),
    c_m: n + 1,
    c_n: 1,
    alpha: 0.5,
  };
}

interface Product {
  readonly kernel: Kernel;
  readonly params: Params;
}

/** A product by one kernel into a variable, which keeps what the kernel must not touch. */
const product = op<Product>({
  name: "product",
  inPlace: true,
  shape: ([c]) => c.shape,
  run: ({ inputs: [c, a, b, bias, d] }, { kernel, params }) => [{
    kernel,
    bind: {
      a,
      b,
      ...("bias" in kernel.reads ? { bias } : {}),
      ...("d" in kernel.reads ? { d } : {}),
      c,
    },
    params,
  }],
});

interface Operands {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
  readonly bias: Float32Array<ArrayBuffer>;
  readonly d: Float32Array<ArrayBuffer>;
  readonly c: Float32Array<ArrayBuffer>;
}

/** The product in f64, in a copy of C. */
function reference(
  { accumulate, bias, addend }: MatmulSignature,
  p: Params,
  x: Operands,
): Float64Array {
  const c = Float64Array.from(x.c);
  for (let i = 0; i < p.batch_i; i++) {
    for (let j = 0; j < p.batch_j; j++) {
      for (let m = 0; m < p.m; m++) {
        for (let n = 0; n < p.n; n++) {
          const at = p.c_0 + i * p.c_i + j * p.c_j + m * p.c_m + n * p.c_n;
          let sum = 0;
          for (let k = 0; k < p.k; k++) {
            sum += x.a[p.a_0 + i * p.a_i + j * p.a_j + m * p.a_m + k * p.a_k] *
              x.b[i * p.b_i + j * p.b_j + k * p.b_k + n * p.b_n];
          }
          c[at] = p.alpha * sum + (bias ? x.bias[n] : 0) + (addend ? x.d[at] : 0) +
            (accumulate ? x.c[at] : 0);
        }
      }
    }
  }
  return c;
}

function usable(gpu: Gpu, signature: MatmulSignature): Kernel[] {
  return matmulVariants(signature).filter(({ subgroup }) =>
    subgroup === undefined || subgroup === gpu.subgroup
  );
}

gpuTest(
  "every matmul variant matches f64, and the plain one bit by bit",
  async (gpu) => {
    for (const signature of signatures) {
      const kernels = usable(gpu, signature);
      for (const shape of shapes) {
        const params = layout(signature, shape);
        const random = (count: number) => Float32Array.from(randomNormal(count));
        const { a_0, a_j, b_j, c_0, c_i, batch_i, batch_j, n } = params;
        const x: Operands = {
          a: random(a_0 + batch_i * batch_j * a_j),
          b: random(batch_j * b_j),
          bias: random(n),
          d: random(c_0 + batch_i * c_i),
          c: random(c_0 + batch_i * c_i),
        };
        const session = new Session(gpu);
        try {
          const leaf = (name: "a" | "b" | "bias" | "d") => input(name, [x[name].length], "f32");
          const rest = [leaf("a"), leaf("b"), leaf("bias"), leaf("d")];
          const outputs: Node[] = kernels.map((kernel) =>
            product(
              [variable(kernel.name, [x.c.length], "control"), ...rest],
              { kernel, params },
            )
          );
          const program = session.program(outputs, {}, outputs);
          await session.build();
          for (const kernel of kernels) session.upload(kernel.name, x.c);
          session.write(program, { a: x.a, b: x.b, bias: x.bias, d: x.d });
          session.run([program]);
          const values = await session.readVariables(kernels.map(({ name }) => name));
          const expected = reference(signature, params, x);
          const naive = values.get("matmul_naive")!;
          for (const { name } of kernels) {
            const label = `${name} ${JSON.stringify(signature)} ${shape}`;
            expectClose(label, values.get(name)!, expected, 1e-4, 1e-5);
            // Elsewhere a compiler may fuse the epilogue of one variant and not of another.
            if (gpu.adapter.software) assertEquals(values.get(name), naive, `${label}: bits`);
          }
        } finally {
          session.destroy();
        }
      }
    }
  },
);

gpuTest("einsum() matches its reference under each variant", async (gpu) => {
  // Small ones, as the reference takes its time; shards are the business of einsum's own test.
  const work = ({ sizes = {} }: OpCase) => Object.values(sizes).reduce((a, b) => a * b, 1);
  const cases = einsumCases.filter((check) =>
    check.maxBinding === undefined && work(check) < 10000
  );
  for (const { name } of usable(gpu, signatures[0])) {
    gpu.kernelChoices.set("matmul", name);
    for (const check of cases) await checkOp(gpu, `${check.name} by ${name}`, check);
  }
});

const software = { software: true } as Tuned["adapter"];
const hardware = { software: false } as Tuned["adapter"];
const signature = signatures[0];

function chosen(gpu: Tuned, m: number, n: number, k: number, batch = 1): string {
  const params = { m, n, k, batch_i: 1, batch_j: batch };
  return chooseKernel(gpu, { family: "matmul", variants: matmulVariants(signature), params }).name;
}

Deno.test("chooseKernel() follows from adapter kind and sizes alone", () => {
  const lavapipe = { adapter: software, subgroup: 8, kernelChoices: new Map() };
  const plainLavapipe = { ...lavapipe, subgroup: 0 };
  const real = { ...plainLavapipe, adapter: hardware };
  assertEquals(chosen(lavapipe, 512, 512, 512), "matmul_subgroup_n_32x32");
  assertEquals(chosen(lavapipe, 24, 24, 32, 128), "matmul_subgroup_n_24x24");
  assertEquals(chosen(lavapipe, 768, 8, 128), "matmul_subgroup_m_8x32");
  assertEquals(chosen(plainLavapipe, 512, 512, 512), "matmul_direct_n_8x64");
  assertEquals(chosen(real, 4096, 4096, 4096), "matmul_tiled_128");
  assertEquals(chosen(real, 1024, 512, 512), "matmul_tiled_64");
  assertEquals(chosen(real, 64, 64, 64), "matmul_tiled_32");
  // LoRA's products, of many rows, and of few, which wide tiles would leave to few multiprocessors.
  assertEquals(chosen(real, 2048, 8, 512, 8), "matmul_tiled_128x8");
  assertEquals(chosen(real, 8, 2048, 512, 8), "matmul_tiled_8x128");
  assertEquals(chosen(real, 2048, 8, 512), "matmul_tiled_32");
  assertEquals(chosen(real, 65536, 24, 512), "matmul_tiled_128x8");
});

Deno.test("chooseKernel() takes a measured choice, and refuses one that cannot run", () => {
  const gpu = { adapter: software, subgroup: 0, kernelChoices: new Map<string, string>() };
  const params = { m: 500, n: 512, k: 3, batch_i: 1, batch_j: 1 };
  const choice = { family: "matmul x", variants: matmulVariants(signature), params };
  const key = choiceKey(choice);
  assertEquals(key, "matmul x m512 n512 k4 batch_i1 batch_j1");
  gpu.kernelChoices.set(key, "matmul_tiled_32");
  assertEquals(chooseKernel(gpu, choice).name, "matmul_tiled_32");
  assertEquals(chooseKernel(gpu, { ...choice, family: "matmul" }).name, "matmul_direct_n_8x64");
  gpu.kernelChoices.set(key, "matmul_subgroup_n_16x32");
  assertThrows(() => chooseKernel(gpu, choice), RangeError, "Cannot run kernel");
});
