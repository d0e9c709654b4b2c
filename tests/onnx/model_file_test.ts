/** ONNX files hold each parameter once, bit for bit, inside or in a file beside. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, TensorProto_DataLocation } from "onnx-buf";
import { openOnnxSession, scoreBatch } from "../../lib/infer/session.ts";
import { buildModel } from "../../lib/models/index.ts";
import {
  ONNX_DATA_FILE,
  ONNX_FILE,
  type OnnxFileOptions,
  readOnnxMetadata,
  writeOnnx,
} from "../../lib/onnx/model_file.ts";
import { lowerScores } from "../../lib/sweep/export_onnx.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { t5Config } from "../small_models.ts";

const model = buildModel(t5Config, { classes: 2, head: false });
const values = randomWeights(model.scope.select(), 3);
const graph = lowerScores(model, { words: ["no", "yes"], ids: [[11], [100]] });
const options: OnnxFileOptions = {
  values,
  name: "small",
  version: "1.2.3",
  metadata: { labels: '["no","yes"]', prefix: "sst2 sentence: " },
};

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const readModel = async (folder: string): Promise<ModelProto> =>
  fromBinary(ModelProtoSchema, await Deno.readFile(`${folder}/${ONNX_FILE}`));

async function logits(folder: string): Promise<number[][]> {
  const session = await openOnnxSession(`${folder}/${ONNX_FILE}`, { threads: 1 });
  try {
    return await scoreBatch(session, [[5, 17, 3, 1], [9, 1]], 0);
  } finally {
    await session.close();
  }
}

Deno.test("a file names what it is, its operators, axes and metadata", async () => {
  await withFolder(async (folder) => {
    assertEquals(await writeOnnx(folder, graph, options), [ONNX_FILE]);
    const { irVersion, opsetImport, producerName, producerVersion, graph: written } =
      await readModel(folder);
    assertEquals([irVersion, producerName, producerVersion], [8n, "tunegrid", "1.2.3"]);
    assertEquals(opsetImport.map(({ domain, version }) => [domain, version]), [["", 17n]]);
    const axes = [...written!.input, ...written!.output].map(({ name, type }) => {
      assert(type?.value.case === "tensorType");
      return [name, ...type.value.value.shape!.dim.map(({ value }) => value.value)];
    });
    assertEquals(axes, [
      ["input_ids", "batch", "length"],
      ["attention_mask", "batch", "length"],
      ["logits", "batch", 2n],
    ]);
    assertEquals(await readOnnxMetadata(`${folder}/${ONNX_FILE}`), options.metadata);
  });
});

Deno.test("parameters stand in a file once, under their names, with their bits", async () => {
  await withFolder(async (folder) => {
    await writeOnnx(folder, graph, options);
    const { initializer } = (await readModel(folder)).graph!;
    const stored = initializer.filter(({ name }) => values.has(name));
    // The tied matrix too, which embeds texts and reads label words.
    assertEquals(stored.map(({ name }) => name).sort(), [...values.keys()].sort());
    for (const { name, dims, rawData } of stored) {
      assertEquals(dims, model.scope.parameters.get(name)!.shape.map(BigInt), name);
      assertEquals(rawData, new Uint8Array(values.get(name)!.buffer), name);
    }
  });
});

Deno.test("what is too large for one file lies beside it, at whole pages", async () => {
  await withFolder(async (folder) => {
    await writeOnnx(folder, graph, options);
    const inside = await logits(folder);
    const files = await writeOnnx(folder, graph, { ...options, externalAbove: 1000 });
    assertEquals(files, [ONNX_FILE, ONNX_DATA_FILE]);
    const data = await Deno.readFile(`${folder}/${ONNX_DATA_FILE}`);
    const { initializer } = (await readModel(folder)).graph!;
    let found = 0;
    for (const { name, externalData, dataLocation, rawData } of initializer) {
      const place = Object.fromEntries(externalData.map(({ key, value }) => [key, value]));
      if (!values.has(name)) {
        assertEquals(place, {}, name);
        continue;
      }
      found++;
      assertEquals([dataLocation, rawData.length], [TensorProto_DataLocation.EXTERNAL, 0], name);
      const [start, length] = [Number(place.offset), Number(place.length)];
      assertEquals([place.location, start % 4096], [ONNX_DATA_FILE, 0], name);
      const bytes = data.slice(start, start + length);
      assertEquals(bytes, new Uint8Array(values.get(name)!.buffer), name);
    }
    assertEquals(found, values.size);
    assertEquals(await logits(folder), inside);
    // Written into one file again, nothing of the other is left.
    await writeOnnx(folder, graph, options);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [ONNX_FILE]);
  });
});

Deno.test("a model without its data, or cut short, does not load", async () => {
  await withFolder(async (folder) => {
    await writeOnnx(folder, graph, { ...options, externalAbove: 0 });
    await Deno.remove(`${folder}/${ONNX_DATA_FILE}`);
    await assertRejects(() => logits(folder), Error, `Cannot load ${folder}/${ONNX_FILE}`);
    await writeOnnx(folder, graph, options);
    const bytes = await Deno.readFile(`${folder}/${ONNX_FILE}`);
    await Deno.writeFile(`${folder}/${ONNX_FILE}`, bytes.slice(0, bytes.length / 2));
    await assertRejects(() => logits(folder), Error, `Cannot load ${folder}/${ONNX_FILE}`);
    await assertRejects(
      () => readOnnxMetadata(`${folder}/${ONNX_FILE}`),
      TypeError,
      "it is not an ONNX model",
    );
  });
});

Deno.test("parameters without values, or with those of another shape, are named", async () => {
  await withFolder(async (folder) => {
    const without = new Map([...values].slice(1));
    await assertRejects(
      () => writeOnnx(folder, graph, { ...options, values: without }),
      RangeError,
      "Cannot write ONNX: shared.weight has no values",
    );
    const short = new Map([...values, ["shared.weight", new Float32Array(4)]]);
    await assertRejects(
      () => writeOnnx(folder, graph, { ...options, values: short }),
      TypeError,
      "shared.weight has 4 values, not those of [121, 20]",
    );
    assertEquals([...Deno.readDirSync(folder)], []);
    await assertRejects(
      () => writeOnnx(`${folder}/none`, graph, options),
      Error,
      "its folder",
    );
  });
});
