import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { MemoryPlanner } from "../../lib/graph/memory.ts";
import { plan } from "../../lib/graph/plan.ts";
import { backwardRoots } from "../../lib/train/backward.ts";
import { buildUpdate } from "../../lib/train/optimizer.ts";
import { makeTask } from "../../lib/train/task.ts";
import { buildModel } from "../../lib/models/index.ts";
import { scale } from "../../lib/ops/elementwise.ts";
import { gpuTest } from "../check_op.ts";
import { t5Config } from "../small_models.ts";

gpuTest("a plan from graphs alone is what a session allocates for them", async (gpu) => {
  const model = buildModel(t5Config, { classes: 2, head: true });
  const task = makeTask(model, 0, null);
  const update = buildUpdate({
    parameters: model.scope.select().map(({ node }) => node),
    steps: 3,
    schedule: "linear",
    warmupSteps: 0,
    learningRate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    decay: "all",
    clipNorm: 1,
  });
  const roots = backwardRoots(task.loss({}), update);
  const scores = task.scores();
  const planner = new MemoryPlanner();
  const session = new Session(gpu);
  for (const T of [8, 24]) {
    const sizes = { B: 4, T };
    planner.add(plan(roots, sizes), sizes);
    planner.add(plan([scores], sizes, [scores]), sizes);
    session.program(roots, sizes);
    session.program([scores], sizes, [scores]);
  }
  planner.add(plan(update.roots, {}), {});
  session.program(update.roots, {});
  // The launches' parameters alone depend on the adapter.
  const { params, total } = session.memory();
  assertEquals(planner.memory(params), session.memory());
  assertEquals(planner.memory().total, total - params);
  await assertRejects(
    () => session.build(total - 1),
    RangeError,
    `Cannot plan ${total} bytes on the GPU: the budget is ${total - 1} bytes, 1 fewer; raise --mem`,
  );
  await session.build(total);
  session.destroy();
});

Deno.test("MemoryPlanner shares inputs, variables and slots of several programs", () => {
  const planner = new MemoryPlanner();
  const w = variable("w", [2, 4], "weight");
  for (const rows of [3, 5, 4]) {
    const x = scale(input("x", [rows, 4], "f32"), 2);
    planner.add(plan([x, w], {}, [x]), {});
  }
  const { byRole, activations, inputs, constants, total } = planner.memory();
  assertEquals([byRole.weight, activations, inputs, constants], [32, 80, 80, 0]);
  assertEquals(total, 192);
  assertThrows(
    () => planner.add(plan([variable("w", [3, 4], "weight")], {}), {}),
    TypeError,
    "Cannot declare variable w twice with different shapes",
  );
});
