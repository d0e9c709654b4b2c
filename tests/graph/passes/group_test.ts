import { assert, assertEquals } from "@std/assert";
import { Random } from "../../../lib/data/random.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { chooseKernels, type Tuned } from "../../../lib/gpu/tuning.ts";
import { Session, type Values } from "../../../lib/gpu/session.ts";
import { input, variable, variableAttributes } from "../../../lib/graph/leaves.ts";
import { type KernelChoice, type Node, topological } from "../../../lib/graph/node.ts";
import { operationsOf } from "../../../lib/graph/operations.ts";
import { fuse } from "../../../lib/graph/passes/fuse.ts";
import { group } from "../../../lib/graph/passes/group.ts";
import type { Pass } from "../../../lib/graph/passes/rewrite.ts";
import { halfPrecision, type StoragePolicy } from "../../../lib/graph/precision.ts";
import { elements } from "../../../lib/graph/shape.ts";
import { relu } from "../../../lib/ops/activations.ts";
import { einsum, einsumInto } from "../../../lib/ops/einsum.ts";
import { scale } from "../../../lib/ops/elementwise.ts";
import { joinRows, rows } from "../../../lib/ops/rows.ts";
import { buildUpdate } from "../../../lib/train/optimizer.ts";
import { gpuTest } from "../../check_op.ts";

/** What a program of cells is made of. */
interface Setup {
  /** Rank of each cell. */
  readonly ranks: readonly number[];
  /** Rows of a cell, inputs, outputs. */
  readonly sizes: readonly [count: number, inputs: number, outputs: number];
  /** Cells whose output is that of a frozen product alone. */
  readonly plain?: readonly number[];
  /** Whether the first product is activated, as an adapter's is. */
  readonly activated?: boolean;
}

/** Low-rank products of cells, forward and as their backward pass has them; roots and nodes to read. */
function cells({ ranks, sizes: [count, inputs, outputs], plain = [], activated = false }: Setup) {
  const of = ranks.length;
  const share = { of, count };
  const x = scale(input("x", [of * count, inputs], "f32"), 0.5);
  const frozen = einsum("rc,nc->rn", x, variable("w", [outputs, inputs], "weight"));
  const own = (index: number, name: string, shape: number[], role: "trainable" | "gradient") =>
    variable(`cells.${index}/${name}`, shape, role);
  const products = ranks.map((rank, i) => {
    const a = own(i, "a", [rank, inputs], "trainable");
    const b = own(i, "b", [outputs, rank], "trainable");
    const bias = activated ? own(i, "bias", [rank], "trainable") : undefined;
    const product = einsum("rc,nc->rn", rows(x, i, share), a, { bias });
    return { a, b, rank, inner: activated ? relu(product) : product };
  });
  const y = joinRows(
    products.map(({ b, inner }, index) => {
      const addend = rows(frozen, index, share);
      return {
        index,
        part: plain.includes(index)
          ? scale(addend, 3)
          : einsum("rc,nc->rn", inner, b, { alpha: 1 / (index + 1), addend }),
      };
    }),
    of * count,
    share,
  );
  const g = scale(y, 2);
  const gradients = products.map(({ a, b, inner, rank }, i) => {
    const [gi, xi] = [rows(g, i, share), rows(x, i, share)];
    const inside = einsum("rn,nc->rc", gi, b);
    return {
      dx: einsum("rn,nc->rc", inside, a),
      roots: [
        einsumInto(own(i, "b.grad", [outputs, rank], "gradient"), einsum("rn,rc->nc", gi, inner)),
        einsumInto(own(i, "a.grad", [rank, inputs], "gradient"), einsum("rn,rc->nc", inside, xi)),
      ],
    };
  });
  const dx = joinRows(gradients.map(({ dx: part }, index) => ({ index, part })), of * count, share);
  return { roots: [dx, ...gradients.flatMap(({ roots }) => roots)], keep: [y, dx] };
}

interface Found {
  readonly values: Map<string, Uint32Array>;
  readonly launches: number;
  readonly operations: number;
}

interface Graph {
  readonly roots: readonly Node[];
  readonly keep: readonly Node[];
  /** Starts of variables; random numbers unless given. */
  readonly initial?: ReadonlyMap<string, Values>;
}

/** Runs a program twice under some passes; all that it leaves, as bits. */
async function run(
  gpu: Gpu,
  { roots, keep, initial }: Graph,
  passes: readonly Pass[],
  policy?: StoragePolicy,
): Promise<Found> {
  const create = gpu.device.createBuffer;
  let allocated = 0;
  gpu.device.createBuffer = (descriptor) => {
    allocated += descriptor.size;
    return create.call(gpu.device, descriptor);
  };
  const session = new Session(gpu, policy, passes);
  try {
    const program = session.program(roots, {}, keep);
    await session.build();
    gpu.device.createBuffer = create;
    assertEquals(allocated, session.memory().total);
    session.poison();
    const random = (name: string, node: Node) => {
      const own = new Random(4, name);
      const count = elements(node.shape as number[]);
      return Float32Array.from({ length: count }, () => own.normal());
    };
    const variables = session.variables([
      "weight",
      "trainable",
      "gradient",
      "optimizer",
      "control",
    ]);
    for (const [name, node] of variables) {
      const positive = /moment/.test(name);
      const start = random(name, node).map((value) => positive ? Math.abs(value) : value);
      session.upload(name, initial?.get(name) ?? start);
    }
    session.write(
      program,
      Object.fromEntries([...program.inputs].map(([name, node]) => [name, random(name, node)])),
    );
    for (let i = 0; i < 2; i++) session.run([program]);
    const kept = await session.read(program, keep);
    const names = [...variables.keys()].sort();
    const left = await session.readVariables(names);
    const values = [...kept.map((one, i) => [`${i}`, one] as const), ...left];
    assert(values.every(([, one]) => one.every(Number.isFinite)));
    return {
      values: new Map(values.map(([name, one]) => [name, new Uint32Array(one.slice().buffer)])),
      launches: program.dispatches,
      operations: operationsOf(program.plan.order, {}),
    };
  } finally {
    gpu.device.createBuffer = create;
    session.destroy();
  }
}

async function expectSame(
  gpu: Gpu,
  program: Graph,
  before: readonly Pass[],
  policy?: StoragePolicy,
): Promise<{ plain: number; grouped: number }> {
  const plain = await run(gpu, program, before, policy);
  const grouped = await run(gpu, program, [...before, group], policy);
  for (const [name, values] of plain.values) assertEquals(grouped.values.get(name), values, name);
  assertEquals(grouped.operations, plain.operations);
  return { plain: plain.launches, grouped: grouped.launches };
}

gpuTest("group() computes cells' products in one launch each, to the bit", async (gpu) => {
  const setup: Setup = { ranks: [4, 8, 32, 12], sizes: [16, 16, 24] };
  const { plain, grouped } = await expectSame(gpu, cells(setup), []);
  // Two scales and the frozen product stay.
  assertEquals([plain, grouped], [3 + 6 * 4, 3 + 6]);
});

const SETUPS: [string, Setup][] = [
  ["ranks that vectors of four do not fit", { ranks: [1, 4, 3, 64, 4], sizes: [8, 16, 16] }],
  ["shares that no buffer can be bound at", { ranks: [2, 5, 4], sizes: [5, 7, 9] }],
  ["a cell without a product of its own", {
    ranks: [4, 4, 8],
    sizes: [16, 16, 16],
    plain: [1],
  }],
  ["such a cell, and shares to be copied", { ranks: [4, 4, 8], sizes: [3, 5, 7], plain: [0] }],
  ["products with bias and activation", {
    ranks: [3, 8, 8],
    sizes: [8, 16, 16],
    activated: true,
  }],
];

for (const [what, setup] of SETUPS) {
  gpuTest(`group() changes no bit of cells: ${what}`, async (gpu) => {
    const { plain, grouped } = await expectSame(gpu, cells(setup), [fuse]);
    assert(grouped < plain - 6, `${plain} launches before, ${grouped} then`);
  });
}

gpuTest("group() changes no bit of what is stored in half precision", async (gpu) => {
  const setup: Setup = { ranks: [4, 8, 3], sizes: [8, 16, 16], activated: true };
  const program = cells(setup);
  const trained = topological(program.roots).filter(({ op }) => op.leaf === "variable")
    .map((node) => variableAttributes(node)).filter(({ role }) => role !== "weight");
  const policy = halfPrecision(new Set(trained.map(({ name }) => name)));
  const { plain, grouped } = await expectSame(gpu, program, [fuse], policy);
  assert(grouped < plain - 6, `${plain} launches before, ${grouped} then`);
});

gpuTest("group() changes no bit of products by tiles", async (gpu) => {
  for (const name of ["matmul_tiled_32", "matmul_tiled_128x8", "matmul_naive"]) {
    gpu.kernelChoices.set("matmul", name);
    const { plain, grouped } = await expectSame(gpu, cells(SETUPS[0][1]), [fuse]);
    assert(grouped < plain - 6, `${plain} launches before, ${grouped} then`);
  }
  gpu.kernelChoices.clear();
});

Deno.test("chooseKernels() has all products in one launch on GPUs, in one for each block elsewhere", () => {
  const product = (k: number) => {
    const [a, b] = [input("a", [512, k], "f32"), input("b", [64, k], "f32")];
    const node = einsum("rc,nc->rn", a, b);
    const choices: KernelChoice[] = [];
    node.op.run(node, {
      ...{ sizes: {}, maxBinding: 2 ** 27, within: () => false, chooseEach: () => [] },
      shape: ({ shape }) => shape as number[],
      choose: (choice) => {
        choices.push(choice);
        return choice.variants[0];
      },
    });
    return choices[0];
  };
  const choices = [1, 4, 64].map(product);
  const chosen = (software: boolean, subgroup: number) =>
    chooseKernels({ adapter: { software }, subgroup, kernelChoices: new Map() } as Tuned, choices);
  assertEquals(new Set(chosen(false, 32)).size, 1);
  const [odd, ...even] = chosen(true, 8);
  assert(even.every((kernel) => kernel !== odd && kernel.reads.a === "vec4<f32>"));
});

gpuTest("group() where variables fit no common binding launches each alone", async (gpu) => {
  const setup: Setup = { ranks: [4, 8, 32, 12], sizes: [16, 16, 24] };
  const { plain, grouped } = await expectSame(gpu, cells(setup), []);
  assertEquals(grouped, plain);
}, 8192);

gpuTest("group() leaves apart what would wait for itself", async (gpu) => {
  const x = input("x", [8, 16], "f32");
  const [y, z] = [scale(x, 2), scale(x, 3)];
  const [one, two] = ["a", "b"].map((name) => variable(name, [16, 16], "gradient"));
  const into = (to: Node, from: Node) => einsumInto(to, einsum("rn,rc->nc", x, from));
  // What is added first to one is added last to the other.
  const program = { roots: [into(one, y), into(two, z), into(two, y), into(one, z)], keep: [] };
  const { plain, grouped } = await expectSame(gpu, program, []);
  assertEquals([plain, grouped], [6, 5]);
});

gpuTest("group() leaves two sums into one variable apart", async (gpu) => {
  const x = input("x", [8, 16], "f32");
  const into = variable("a", [16, 16], "gradient");
  const product = () => einsumInto(into, einsum("rn,rc->nc", x, x));
  const { plain, grouped } = await expectSame(gpu, { roots: [product(), product()], keep: [] }, []);
  assertEquals([plain, grouped], [2, 2]);
});

for (const [what, inner, launches] of [["few", 8, 1], ["many", 80, 4]] as const) {
  gpuTest(`group() updates cells of ${what} parameters in ${launches} launches`, async (gpu) => {
    const updates = [3e-3, 1e-2, 0.1].map((learningRate, i) =>
      buildUpdate({
        parameters: [[inner, 12 + i], [7], [64, inner]].map((shape, j) =>
          variable(`cells.${i}/${j}`, shape, "trainable")
        ),
        ...{ steps: 4 + i, warmupSteps: i, learningRate, clipNorm: i === 1 ? null : 0.5 + i },
        ...{ schedule: "linear", beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        ...{ weightDecay: 0.1 * i, decay: "matrices", prefix: `cells.${i}/` },
      })
    );
    const roots = updates.flatMap(({ roots }) => roots);
    const initial = new Map(updates.flatMap(({ initial }) => [...initial]));
    const { plain, grouped } = await expectSame(gpu, { roots, keep: [], initial }, []);
    assertEquals([plain, grouped], [3 * launches, launches]);
  });
}
