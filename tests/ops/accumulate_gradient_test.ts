import { assert, assertEquals } from "@std/assert";
import { expectClose, gpuTest, randomNormal } from "../check_op.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session } from "../../lib/gpu/session.ts";
import { input, variable } from "../../lib/graph/leaves.ts";
import { differentiate } from "../../lib/graph/differentiate.ts";
import { accumulateGradient } from "../../lib/ops/accumulate_gradient.ts";
import { add } from "../../lib/ops/elementwise.ts";
import { einsum } from "../../lib/ops/einsum.ts";
import { embedding } from "../../lib/ops/embedding.ts";

const [V, C, N, M] = [150, 64, 70, 5];

/** y[n, m] = Σc (table[ids[n], c])·w[m, c] + b[m], its three gradients added twice into variables. */
async function accumulated(gpu: Gpu) {
  const table = variable("table", [V, C], "trainable");
  const [w, b] = [variable("w", [M, C], "trainable"), variable("b", [M], "trainable")];
  const ids = input("ids", [N], "u32");
  const y = einsum("nc,mc->nm", embedding(table, ids), w, { bias: b });
  const g = input("g", y.shape, "f32");
  const parts = differentiate(y, g, [table, w, b], add);
  const into = {
    table: variable("table.grad", [V, C], "gradient"),
    w: variable("w.grad", [M, C], "gradient"),
    b: variable("b.grad", [M], "gradient"),
  };
  const roots = [table, w, b].flatMap((node, i) =>
    parts.get(node)!.map((part) => accumulateGradient(Object.values(into)[i], part))
  );
  const idValues = Uint32Array.from({ length: N }, (_, i) => i % 3 === 0 ? 7 : (i * 37) % V);
  const [tableValues, wValues, gValues, start] = [V * C, M * C, N * M, V * C].map((n) =>
    randomNormal(n)
  );
  const session = new Session(gpu);
  try {
    const program = session.program(roots, {});
    await session.build();
    session.upload("table", Float32Array.from(tableValues));
    session.upload("w", Float32Array.from(wValues));
    session.upload("table.grad", Float32Array.from(start));
    session.write(program, { ids: idValues, g: Float32Array.from(gValues) });
    session.poison();
    session.run([program]);
    session.run([program]);
    const found = await session.readVariables(["table.grad", "w.grad", "b.grad"]);
    const expected = {
      "table.grad": start.slice(),
      "w.grad": new Float64Array(M * C),
      "b.grad": new Float64Array(M),
    };
    for (let n = 0; n < N; n++) {
      for (let m = 0; m < M; m++) {
        expected["b.grad"][m] += 2 * gValues[n * M + m];
        for (let c = 0; c < C; c++) {
          const at = idValues[n] * C + c;
          expected["table.grad"][at] += 2 * gValues[n * M + m] * wValues[m * C + c];
          expected["w.grad"][m * C + c] += 2 * gValues[n * M + m] * tableValues[at];
        }
      }
    }
    for (const [name, values] of Object.entries(expected)) {
      expectClose(name, found.get(name)!, values, 2e-4, 1e-5);
    }
    const occurring = new Set(idValues);
    for (let row = 0; row < V; row++) {
      if (occurring.has(row)) continue;
      const part = (values: ArrayLike<number>) => Array.from(values).slice(row * C, row * C + C);
      assertEquals(part(found.get("table.grad")!), part(start), `row ${row} has no id but changed`);
    }
    return program.kernels;
  } finally {
    session.destroy();
  }
}

gpuTest(
  "accumulateGradient() adds twice what is differentiated, without storing it",
  async (gpu) => {
    const kernels = await accumulated(gpu);
    assertEquals(kernels.filter((name) => name === "fill").length, 0);
    assertEquals(kernels.filter((name) => name === "accumulate").length, 0);
    assertEquals(kernels.filter((name) => name.startsWith("sum_")), ["sum_columns_into"]);
    assertEquals(kernels.filter((name) => name === "embedding_grad").length, 1);
  },
);

gpuTest("accumulateGradient() fills a table larger than a binding in row shards", async (gpu) => {
  const kernels = await accumulated(gpu);
  const launches = kernels.filter((name) => name === "embedding_grad").length;
  assert(launches > 1, `${launches} launches for ${V * C * 4} bytes`);
}, 32768);
