/**
 * Speed of every matmul variant on cubes, and of those for this kind of adapter on the products of a
 * small model's training step.
 *
 * @module
 */

import { matmulVariants } from "../kernels/matmul_variants.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import type { Node } from "../lib/graph/node.ts";
import type { Program } from "../lib/gpu/program.ts";
import { Session } from "../lib/gpu/session.ts";
import { variable } from "../lib/graph/leaves.ts";
import { einsum } from "../lib/ops/einsum.ts";
import type { BenchOptions } from "./main.ts";
import { measure, type Work } from "./measure.ts";
import { random } from "./random.ts";
import { peakOf } from "./peak.ts";
import type { Row } from "./report.ts";

interface Case {
  readonly what: string;
  /** Letters m, n, k and the batch b, in the operands' order in memory. */
  readonly subscripts: string;
  readonly sizes: Readonly<Record<string, number>>;
}

const cube = (size: number): Case => ({
  what: "cube",
  subscripts: "mk,kn->mn",
  sizes: { b: 1, m: size, n: size, k: size },
});

const product = (
  what: string,
  subscripts: string,
  m: number,
  n: number,
  k: number,
  b = 1,
): Case => ({
  what,
  subscripts,
  sizes: { b, m, n, k },
});

/** Cubes, then what steps of T5 with 32 × 24 tokens (width 128) and of T5-small with 32 × 64 multiply. */
const CASES: readonly Case[] = [
  ...[128, 256, 512, 1024].map(cube),
  product("linear", "mk,nk->mn", 768, 128, 128),
  product("linear up", "mk,nk->mn", 768, 512, 128),
  product("linear down", "mk,nk->mn", 768, 128, 512),
  product("dX of up", "mk,kn->mn", 768, 128, 512),
  product("dW of up", "km,kn->mn", 512, 128, 768),
  product("logits", "mk,nk->mn", 64, 32128, 128),
  product("dX of logits", "mk,kn->mn", 64, 128, 32128),
  product("dW of logits", "km,kn->mn", 32128, 128, 64),
  product("scores", "bmk,bnk->bmn", 24, 24, 32, 128),
  product("context", "bmk,bkn->bmn", 24, 32, 24, 128),
  product("cross scores", "bmk,bnk->bmn", 2, 24, 32, 128),
  product("LoRA down", "mk,nk->mn", 768, 8, 128),
  product("LoRA up", "mk,nk->mn", 768, 128, 8),
  product("dA of LoRA", "km,kn->mn", 8, 128, 768),
  product("dB of LoRA", "km,kn->mn", 128, 8, 768),
  product("LoRA down, rank 1", "mk,nk->mn", 768, 1, 128),
  product("T5-small linear", "mk,nk->mn", 2048, 512, 512),
  product("T5-small up", "mk,nk->mn", 2048, 2048, 512),
  product("T5-small down", "mk,nk->mn", 2048, 512, 2048),
  product("T5-small dX", "mk,kn->mn", 2048, 512, 512),
  product("T5-small scores", "bmk,bnk->bmn", 64, 64, 64, 256),
  product("T5-small LoRA down", "mk,nk->mn", 2048, 8, 512),
  product("T5-small LoRA up", "mk,nk->mn", 2048, 512, 8),
  product("T5-small dA", "km,kn->mn", 8, 512, 2048),
  product("T5-small decoder", "mk,nk->mn", 64, 512, 512),
];

/** On a GPU, also what its datasheet's peak is compared with. */
const LARGE: readonly Case[] = [2048, 4096].map(cube);

/** Benchmarks the cases whose label holds `filter`. @throws Error where an answer is wrong. */
export async function benchMatmul(
  gpu: Gpu,
  { filter, quick, print }: BenchOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  const cases = gpu.adapter.software ? CASES : [...CASES, ...LARGE];
  const least = quick ? QUICK : cases;
  for (const test of least.filter((test) => label(test).includes(filter))) {
    print(label(test));
    rows.push(...await benchCase(gpu, test));
  }
  return rows;
}

/** One of each kind. */
const QUICK = CASES.filter(({ what, sizes }) =>
  ["linear up", "dW of up", "LoRA down", "LoRA up"].includes(what) ||
  (what === "cube" && sizes.m === 512)
);

function label({ what, subscripts, sizes: { b, m, n, k } }: Case): string {
  return `${what} ${b > 1 ? `${b}×` : ""}${m}×${n}×${k} ${subscripts}`;
}

async function benchCase(gpu: Gpu, test: Case): Promise<Row[]> {
  const { subscripts, sizes } = test;
  const letters = subscripts.split(/,|->/);
  const shapes = letters.slice(0, 2).map((part) => [...part].map((letter) => sizes[letter]));
  const session = new Session(gpu);
  try {
    const chosen = compile(gpu, session, subscripts, shapes, undefined).program.kernels[0];
    const compiled = new Map<string, Compiled>();
    const plain = { aligned: true, accumulate: false, bias: false, addend: false } as const;
    for (const { name, subgroup } of matmulVariants({ ...plain, aUnit: "k", bUnit: "n" })) {
      if (subgroup !== undefined && subgroup !== gpu.subgroup) continue;
      // Beside the cubes, only what the rule takes on this kind of adapter.
      const tiled = name.includes("tiled");
      if (test.what !== "cube" && (name.includes("naive") || tiled === gpu.adapter.software)) {
        continue;
      }
      compiled.set(name, compile(gpu, session, subscripts, shapes, name));
    }
    await session.build();
    const [a, b] = shapes.map((shape, i) => random(shape.reduce((x, y) => x * y, 1), i + 1));
    session.upload("a", a);
    session.upload("b", b);
    for (const [name, { program, c }] of compiled) {
      session.poison();
      session.run([program]);
      const [values] = await session.read(program, [c]);
      verify(`${name}, ${label(test)}`, test, letters, [a, b, values]);
    }
    const works: Work[] = [...compiled].map(([name, { program }]) => ({
      name,
      submit: (count) => session.run(Array<Program>(count).fill(program)),
    }));
    const flops = 2 * sizes.b * sizes.m * sizes.n * sizes.k;
    const { gflops } = await peakOf(gpu);
    return (await measure(gpu, works)).map(({ name, median, spread, rounds }) => ({
      what: test.what,
      product: subscripts,
      shape: label({ ...test, what: "", subscripts: "" }).trim(),
      variant: name.replace("matmul_", ""),
      chosen: name === chosen ? "←" : "",
      "median µs": median * 1e3,
      "± %": 100 * spread,
      "GFLOP/s": flops / median / 1e6,
      "of peak": flops / median / 1e6 / gflops,
      ...datasheet(gpu, flops / median / 1e6),
      rounds,
    }));
  } finally {
    session.destroy();
  }
}

/** f32 GFLOP/s of whole chips without sparsity or tensor cores, by part of the adapter's name. */
const DATASHEETS: Readonly<Record<string, number>> = {
  "H200": 67e3, // NVIDIA H200 Tensor Core GPU datasheet
  "H100": 67e3, // NVIDIA H100 Tensor Core GPU datasheet, SXM
  "A100": 19.5e3, // NVIDIA A100 Tensor Core GPU datasheet
};

/** The share of what the chip's datasheet says, where it is known. */
function datasheet({ adapter }: Gpu, gflops: number): Row {
  const chip = Object.keys(DATASHEETS).find((name) => adapter.description.includes(name));
  return chip === undefined ? {} : { "of datasheet": gflops / DATASHEETS[chip] };
}

interface Compiled {
  readonly program: Program;
  readonly c: Node;
}

/** A program of the product, by one variant or by the rule's. */
function compile(
  gpu: Gpu,
  session: Session,
  subscripts: string,
  shapes: readonly (readonly number[])[],
  variant: string | undefined,
): Compiled {
  const c = einsum(
    subscripts,
    variable("a", shapes[0], "weight"),
    variable("b", shapes[1], "weight"),
  );
  if (variant !== undefined) gpu.kernelChoices.set("matmul", variant);
  try {
    return { program: session.program([c], {}, [c]), c };
  } finally {
    gpu.kernelChoices.delete("matmul");
  }
}

/** Compares sampled elements, the corners among them, with f64. */
function verify(
  name: string,
  { sizes }: Case,
  letters: readonly string[],
  [a, b, c]: readonly Float32Array[],
): void {
  const at = (part: string, index: Readonly<Record<string, number>>) =>
    [...part].reduce((sum, letter) => sum * sizes[letter] + index[letter], 0);
  for (let sample = 0; sample < 64; sample++) {
    const pick = (size: number, salt: number) =>
      sample < 2 ? sample * (size - 1) : (sample * salt) % size;
    const index = { b: pick(sizes.b, 7919), m: pick(sizes.m, 104729), n: pick(sizes.n, 1299709) };
    let sum = 0;
    let bound = 0;
    for (let k = 0; k < sizes.k; k++) {
      const term = a[at(letters[0], { ...index, k })] * b[at(letters[1], { ...index, k })];
      sum += term;
      bound += Math.abs(term);
    }
    const found = c[at(letters[2], index)];
    // Rounding of a chain of k sums grows like √k of the terms' sum at worst likelihood.
    if (!(Math.abs(found - sum) <= 6e-8 * Math.sqrt(sizes.k) * bound + 1e-6)) {
      throw new Error(
        `Cannot trust ${name}: element ${JSON.stringify(index)} is ${found}, not ${sum}`,
      );
    }
  }
}
