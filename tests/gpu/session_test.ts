import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { symbol } from "../../lib/graph/shape.ts";
import { accumulate } from "../../lib/ops/accumulate.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { scale } from "../../lib/ops/elementwise.ts";
import { sum } from "../../lib/ops/sum.ts";
import { gpuTest } from "../check_op.ts";

const [B] = [symbol("B")];

function smallGraph() {
  const x = input("x", [B, 16], "f32");
  const w = variable("w", [16, 16], "weight");
  const y = scale(einsum("bc,nc->bn", x, w), 2);
  const total = variable("total", [1, 16], "gradient");
  return { y, root: accumulate(total, sum(y, 0, 1)) };
}

gpuTest("Session plans to the byte what it allocates", async (gpu) => {
  const sizes: number[] = [];
  const create = gpu.device.createBuffer.bind(gpu.device);
  gpu.device.createBuffer = (descriptor) => {
    sizes.push(descriptor.size);
    return create(descriptor);
  };
  const session = new Session(gpu);
  const { y, root } = smallGraph();
  for (const rows of [3, 40]) session.program([y, root], { B: rows }, [y]);
  const planned = session.memory();
  await session.build();
  assertEquals(sizes.reduce((a, b) => a + b, 0), planned.total);
  assertEquals(planned.byRole.weight, 16 * 16 * 4);
  session.destroy();
});

gpuTest("Session frees every buffer it made", async (gpu) => {
  const alive = new Set<GPUBuffer>();
  const create = gpu.device.createBuffer.bind(gpu.device);
  gpu.device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    alive.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      destroy();
    };
    return buffer;
  };
  const session = new Session(gpu);
  const { y, root } = smallGraph();
  const program = session.program([y, root], { B: 4 }, [y]);
  await session.build();
  session.upload("w", new Float32Array(256).fill(1));
  session.write(program, { x: new Float32Array(64).fill(1) });
  session.run([program]);
  assertEquals((await session.read(program, [y]))[0][0], 32);
  session.destroy();
  assertEquals(alive.size, 0);
});

gpuTest("programs of several sizes share variables and arena", async (gpu) => {
  const session = new Session(gpu);
  try {
    const { y, root } = smallGraph();
    const [small, large] = [2, 30].map((rows) => session.program([y, root], { B: rows }, [y]));
    await session.build();
    session.upload("w", Float32Array.from({ length: 256 }, (_, i) => i % 17 === 0 ? 1 : 0));
    for (const [program, rows] of [[small, 2], [large, 30], [small, 2]] as const) {
      session.write(program, { x: new Float32Array(rows * 16).fill(1) });
      session.run([program]);
    }
    const total = (await session.readVariables(["total"])).get("total")!;
    // Each row adds 2 to every column: 2 + 30 + 2 rows.
    assertEquals([...total], new Array(16).fill(68));
  } finally {
    session.destroy();
  }
});

gpuTest("Session reads much back in parts, and little in one", async (gpu) => {
  const session = new Session(gpu);
  try {
    const count = 6 * 2 ** 20;
    const names = ["a", "b", "c", "d"];
    const large = names.slice(0, 3).map((name) => variable(name, [count], "weight"));
    session.program([...large, variable("d", [3], "weight")].map((node) => scale(node, 2)), {});
    await session.build();
    for (const [i, name] of names.entries()) {
      session.upload(name, new Float32Array(name === "d" ? 3 : count).fill(i + 1));
    }
    const sizes: number[] = [];
    const create = gpu.device.createBuffer.bind(gpu.device);
    gpu.device.createBuffer = (descriptor) => {
      sizes.push(descriptor.size);
      return create(descriptor);
    };
    const values = await session.readVariables(names);
    assertEquals(sizes, [8 * count, 4 * count + 12]);
    for (const [i, name] of names.entries()) {
      assertEquals(values.get(name)!.length, name === "d" ? 3 : count);
      assert(values.get(name)!.every((value) => value === i + 1), name);
    }
  } finally {
    session.destroy();
  }
});

gpuTest("Session refuses inputs that are missing or of another size", async (gpu) => {
  const session = new Session(gpu);
  try {
    const { y } = smallGraph();
    const program = session.program([y], { B: 2 }, [y]);
    await session.build();
    assertThrows(() => session.write(program, {}), TypeError, "Cannot write input x");
    const short = { x: new Float32Array(16) };
    assertThrows(() => session.write(program, short), TypeError, "has 32 elements, found 16");
  } finally {
    session.destroy();
  }
});

gpuTest("Session says by how much a tensor does not fit the adapter", async (gpu) => {
  const session = new Session(gpu);
  try {
    const x = input("x", [B, 65536], "f32");
    session.program([scale(x, 2)], { B: 70000 });
    const error = await assertRejects(() => session.build(), RangeError);
    assert(/bytes over the adapter's largest (buffer|binding)/.test(error.message), error.message);
    assert(error.message.includes("lower --batch or --max-length"), error.message);
  } finally {
    session.destroy();
  }
});

gpuTest("steps that share a submit see their own inputs, in order with all else", async (gpu) => {
  const total = variable("total", [4], "optimizer");
  const x = input("x", [4], "f32");
  const root = accumulate(total, x);
  const session = new Session(gpu);
  const program = session.program([root], {});
  const alone = session.memory();
  session.stageSteps(3);
  const planned = session.memory();
  assertEquals(planned.total - alone.total, 3 * 16);
  const sizes: number[] = [];
  const create = gpu.device.createBuffer.bind(gpu.device);
  gpu.device.createBuffer = (descriptor) => {
    sizes.push(descriptor.size);
    return create(descriptor);
  };
  await session.build();
  gpu.device.createBuffer = create;
  assertEquals(sizes.reduce((a, b) => a + b, 0), planned.total);
  let submits = 0;
  const submit = gpu.device.queue.submit.bind(gpu.device.queue);
  gpu.device.queue.submit = (buffers) => {
    submits++;
    submit(buffers);
  };
  const sum = async () => (await session.readVariables(["total"])).get("total")![0];
  const step = (value: number) => session.step([program], { x: new Float32Array(4).fill(value) });
  try {
    for (const [perSubmit, expected] of [[1, 5], [2, 3], [3, 2], [9, 2]]) {
      session.stepsPerSubmit = perSubmit;
      session.upload("total", new Float32Array(4));
      submits = 0;
      for (const value of [1, 10, 100, 1000, 10_000]) step(value);
      session.flush();
      assertEquals(submits, expected); // no more than were staged
      assertEquals(await sum(), 11_111);
      step(1);
      session.upload("total", new Float32Array(4)); // comes behind the step
      step(2);
      session.write(program, { x: new Float32Array(4).fill(3) });
      session.run([program]);
      step(4);
      assertEquals(await sum(), 9);
    }
  } finally {
    gpu.device.queue.submit = submit;
    session.destroy();
  }
});
