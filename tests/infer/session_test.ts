/** Sessions of ONNX Runtime: made once, asked again and again, on either provider. */

import { assertEquals, assertRejects } from "@std/assert";
import { openOnnxSession, scoreBatch } from "../../lib/infer/session.ts";
import { buildModel } from "../../lib/models/index.ts";
import { lowerScores } from "../../lib/sweep/export_onnx.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { expectClose } from "../check_op.ts";
import { openGraph } from "../onnx_run.ts";
import { bertConfig } from "../small_models.ts";

const model = buildModel(bertConfig, { classes: 3, head: false });
const values = randomWeights(model.scope.select(), 5);
const graph = lowerScores(model, null);
const texts = [[5, 17, 118, 3], [9], [64, 8, 2, 40, 51, 7]];

Deno.test("a session scores batches of any size, whatever came before", async () => {
  await openGraph(graph, values, async (session) => {
    assertEquals([session.provider, session.outputs], ["cpu", ["logits"]]);
    const together = await scoreBatch(session, texts, 0);
    assertEquals(together.map((row) => row.length), [3, 3, 3]);
    for (const [i, text] of texts.entries()) {
      const [alone] = await scoreBatch(session, [text], 0);
      expectClose(`text ${i} alone`, alone, together[i], 1e-5, 0);
    }
    assertEquals(await scoreBatch(session, texts, 0), together);
    // Padding is masked: which id fills up does not matter.
    expectClose(
      "another padding",
      (await scoreBatch(session, texts, 77)).flat(),
      together.flat(),
      1e-6,
      0,
    );
    assertEquals(await scoreBatch(session, [], 0), []);
  });
});

Deno.test("WebGPU's provider gives the processor's logits", async () => {
  const score = (provider: "cpu" | "webgpu") =>
    openGraph(graph, values, (session) => scoreBatch(session, texts, 0), { provider });
  expectClose("webgpu", (await score("webgpu")).flat(), (await score("cpu")).flat(), 2e-5, 0);
});

Deno.test("a file that is not there is named", async () => {
  await assertRejects(
    () => openOnnxSession("nowhere/model.onnx"),
    Error,
    "Cannot load nowhere/model.onnx into ONNX Runtime (cpu): ",
  );
});
